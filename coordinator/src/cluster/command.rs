//! What a decision may order. Commands are carried out in order; a record comes before whatever relies on it.

use lockstep_proto::identity::{Generation, JobId, NodeId, WorkerId};
use lockstep_proto::ledger::{Ledger, LedgerRow};
use lockstep_proto::wire;

use super::event::{Assignment, Connection, Ticket};
use super::facts::{CheckpointFact, Report, StopReason};
use super::record::{GenerationRecord, Member, Record, RunRecord, Summary};

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
    /// Tell a leaving agent that it may end.
    DismissAgent {
        /// Which.
        node: NodeId,
    },
    /// Tell a worker what it is for.
    Assign {
        /// Which.
        worker: WorkerId,
        /// What.
        assignment: Box<Assignment>,
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
    /// Tell a worker what of its job is durable.
    Acknowledge {
        /// Which.
        worker: WorkerId,
        /// Of what job.
        job: JobId,
        /// Ledger rows, all but the last complete.
        rows: u64,
        /// Reports up to this step.
        step: u64,
    },
    /// Tell a worker to write a checkpoint at the next step boundary.
    WriteCheckpoint {
        /// Which.
        worker: WorkerId,
    },
    /// Tell a worker to delete checkpoints.
    DeleteCheckpoints {
        /// Which.
        worker: WorkerId,
        /// Of their folders.
        names: Vec<String>,
    },
    /// Tell a worker that there is nothing more to do.
    Leave {
        /// Which.
        worker: WorkerId,
    },
    /// Make a run folder with its `job.toml`, or open one to go on with.
    CreateRun {
        /// Whose.
        record: Box<Record>,
        /// It is a run's already.
        go_on: bool,
    },
    /// Make a job's row durable.
    SaveJob {
        /// The row.
        record: Box<Record>,
    },
    /// Make a membership durable.
    SaveGeneration {
        /// Whose.
        job: JobId,
        /// The newest.
        generation: Box<GenerationRecord>,
    },
    /// Write `run.json`.
    SaveRun {
        /// Whose.
        job: JobId,
        /// What to write.
        run: Box<RunRecord>,
    },
    /// Make committed steps durable: rows of the ledger, and lines of `metrics.jsonl`.
    AppendReports {
        /// Whose.
        job: JobId,
        /// Number of the first of `rows`; what is there from it on is replaced.
        first_row: usize,
        /// Of the ledger.
        rows: Vec<LedgerRow>,
        /// Reports up to this step are recorded then.
        step: u64,
        /// In order.
        reports: Vec<Report>,
    },
    /// Drop what is recorded of steps above this one: they are committed anew.
    VoidAbove {
        /// Whose.
        job: JobId,
        /// The last step that stays.
        step: u64,
        /// Rows of the ledger that stay.
        rows: usize,
        /// Reports up to this step are recorded then.
        recorded: u64,
    },
    /// Write `ledger.json`.
    SaveLedger {
        /// Whose.
        job: JobId,
        /// What to write.
        ledger: Box<Ledger>,
        /// Samples of an epoch.
        train_samples: u64,
    },
    /// Make the list of checkpoints durable.
    SaveCheckpoints {
        /// Whose.
        job: JobId,
        /// Oldest first.
        checkpoints: Vec<CheckpointFact>,
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
    /// A line for the job's log.
    Log {
        /// Whose.
        job: JobId,
        /// One line each.
        lines: Vec<String>,
    },
    /// Answer a request.
    Answer {
        /// Who waits.
        ticket: Ticket,
        /// The job, or why not.
        answer: Result<JobId, Refusal>,
    },
    /// Answer a request for a checkpoint.
    AnswerCheckpoint {
        /// Who waits.
        ticket: Ticket,
        /// Whose.
        job: JobId,
        /// The checkpoint, or why there is none.
        answer: Result<CheckpointFact, Refusal>,
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
    /// What it starts from.
    pub start: Start,
    /// What gradients go by from device to device; empty for the hosts' memory.
    pub transport: String,
    /// Ledger rows that are recorded.
    pub ledger_rows: u64,
    /// Reports up to this step are recorded.
    pub recorded_step: u64,
}

impl std::convert::From<Begin> for wire::Begin {
    fn from(begin: Begin) -> Self {
        let Start { step, digest, source, from, share } = begin.start;
        let (from, checkpoint) = match from {
            From::Initial => (wire::start::From::Initial, String::new()),
            From::Memory => (wire::start::From::Memory, String::new()),
            From::Checkpoint(name) => (wire::start::From::Checkpoint, name),
        };
        Self {
            generation: Some(begin.generation.into()),
            secret: begin.secret.to_vec(),
            rank: begin.rank,
            members: begin.members.into_iter().map(Into::into).collect(),
            start: Some(wire::Start { step, digest, source, from: from.into(), share, checkpoint }),
            ledger_rows: begin.ledger_rows,
            recorded_step: begin.recorded_step,
            transport: begin.transport,
        }
    }
}

/// The state that a generation starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Steps committed.
    pub step: u64,
    /// Of the state; empty for the initial one.
    pub digest: String,
    /// Rank that has it.
    pub source: u32,
    /// Where it has it from.
    pub from: From,
    /// The others do not have it: the source gives it to them.
    pub share: bool,
}

/// Where a generation's state comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The seed.
    Initial,
    /// A member's memory.
    Memory,
    /// A checkpoint of this name.
    Checkpoint(String),
}

impl From {
    /// For records.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Memory => "memory",
            Self::Checkpoint(_) => "checkpoint",
        }
    }
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
    /// It makes no sense now.
    #[error("job {job} is {state}: {problem}")]
    NotNow {
        /// Which.
        job: JobId,
        /// What it is.
        state: &'static str,
        /// What doesn't fit.
        problem: String,
    },
}
