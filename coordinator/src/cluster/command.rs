//! What a decision may order. Commands are carried out in order; a record comes before whatever relies on it.

use lockstep_proto::identity::{Generation, JobId, NodeId, WorkerId};

use super::event::{Connection, Ticket};
use super::facts::{Report, StopReason};
use super::record::{Record, RunRecord, Summary};

/// Everything that the cluster orders.
#[derive(Clone, Debug)]
pub enum Command {
    /// Let an agent in: the connection is this node's from now on.
    WelcomeAgent {
        /// Which.
        connection: Connection,
        /// Its node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// Let a worker in: the connection is this worker's from now on.
    WelcomeWorker {
        /// Which.
        connection: Connection,
        /// Its id.
        worker: WorkerId,
    },
    /// Turn an agent or worker away.
    Refuse {
        /// Which.
        connection: Connection,
        /// Why.
        reason: String,
    },
    /// Tell an agent to start a worker process.
    StartWorker {
        /// Which agent.
        node: NodeId,
        /// The new worker's id.
        worker: WorkerId,
        /// What it works for.
        job: JobId,
        /// How many threads it gets.
        threads: u32,
    },
    /// Tell an agent to end a worker process.
    StopWorker {
        /// Which agent.
        node: NodeId,
        /// Which worker.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// Tell a worker that its generation begins.
    Begin(Box<Begin>),
    /// Tell a worker to set the stop-wanted bit.
    Stop {
        /// Which.
        worker: WorkerId,
        /// Of which generation.
        generation: Generation,
        /// What to record as the reason.
        why: StopReason,
    },
    /// Tell a worker to leave its generation at once.
    Abort {
        /// Which.
        worker: WorkerId,
        /// Which generation.
        generation: Generation,
        /// Why.
        reason: String,
    },
    /// Tell a worker that its reports below this number are durable.
    Acknowledge {
        /// Which.
        worker: WorkerId,
        /// Of what job.
        job: JobId,
        /// Number of the first report that is not.
        below: u64,
    },
    /// Tell a worker that there is nothing more to do.
    Leave {
        /// Which.
        worker: WorkerId,
    },
    /// Make a run folder with its `job.toml`.
    CreateRun {
        /// Whose.
        record: Box<Record>,
    },
    /// Make a job's row durable.
    SaveJob {
        /// The row.
        record: Box<Record>,
    },
    /// Make a membership durable, in the database and in `run.json`.
    SaveRun {
        /// Whose.
        job: JobId,
        /// What to write.
        run: Box<RunRecord>,
    },
    /// Add lines to `metrics.jsonl`, durable.
    AppendReports {
        /// Whose.
        job: JobId,
        /// In order.
        reports: Vec<Report>,
    },
    /// Write `curves.svg` and `summary.json`: the run is over.
    CloseRun {
        /// Whose.
        job: JobId,
        /// What to write.
        summary: Box<Summary>,
    },
    /// Tell who watches that state or progress changed.
    Notify {
        /// What changed.
        job: JobId,
        /// Why, when the state or its reason changed.
        reason: Option<String>,
    },
    /// Answer a request.
    Answer {
        /// Who waits.
        ticket: Ticket,
        /// The job, or why not.
        answer: Result<JobId, Refusal>,
    },
    /// Nothing is done, and why.
    Ignore {
        /// Why.
        reason: String,
    },
}

/// A worker's place in a generation.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Which worker.
    pub worker: WorkerId,
    /// The generation.
    pub generation: Generation,
    /// Key of its data plane.
    pub secret: [u8; 32],
    /// The worker's own rank.
    pub rank: u32,
    /// All members, by rank.
    pub members: Vec<Member>,
    /// The job.
    pub job: JobId,
    /// The job, fully resolved.
    pub toml: String,
}

/// A worker as others in its generation see it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Which.
    pub worker: WorkerId,
    /// Where.
    pub node: NodeId,
    /// Data plane between nodes.
    pub data_address: String,
    /// Data plane inside the node.
    pub unix_address: String,
    /// Threads that it runs.
    pub threads: u32,
    /// Lanes of a full batch that it holds.
    pub lanes: u32,
}

/// Why a request is turned down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such job.
    #[error("no job has the id {0:?}: `lockstep list` shows all")]
    UnknownJob(String),
    /// A shortened id fits several jobs.
    #[error("{count} jobs have an id that begins or ends with {text:?}: give more of it")]
    Ambiguous {
        /// As given.
        text: String,
        /// How many it fits.
        count: usize,
    },
    /// The job can't be changed any more.
    #[error("job {job} has ended: it is {state}")]
    Ended {
        /// Which.
        job: JobId,
        /// What it is.
        state: &'static str,
    },
}
