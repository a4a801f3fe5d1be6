//! What may happen to a cluster.

use std::path::PathBuf;

use lockstep_proto::identity::{Generation, JobId, NodeId, WorkerId};
use lockstep_proto::job::Job as JobSpec;

use super::facts::{Fingerprint, Outcome, Report, RunFacts};

/// A stream to an agent or worker that has not been welcomed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(pub u64);

/// A request that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Everything that the cluster reacts to.
#[derive(Clone, Debug)]
pub enum Event {
    /// An agent opened its stream.
    AgentJoined {
        /// Where to answer.
        connection: Connection,
        /// What it offers.
        hello: AgentHello,
    },
    /// An agent's stream ended.
    AgentLost {
        /// Which.
        node: NodeId,
        /// In words.
        cause: String,
    },
    /// An agent started a worker process.
    WorkerStarted {
        /// Whose.
        node: NodeId,
        /// Which.
        worker: WorkerId,
        /// Of the process.
        pid: u32,
    },
    /// A worker process is gone, or never came to be.
    WorkerExited {
        /// Whose.
        node: NodeId,
        /// Which.
        worker: WorkerId,
        /// How it went.
        exit: Exit,
    },
    /// A worker opened its stream.
    WorkerJoined {
        /// Where to answer.
        connection: Connection,
        /// What it is.
        hello: WorkerHello,
    },
    /// A worker's stream ended.
    WorkerLost {
        /// Which.
        worker: WorkerId,
        /// In words.
        cause: String,
    },
    /// A worker has data set and data plane.
    Ready {
        /// Which.
        worker: WorkerId,
        /// Of its [`super::Command::Begin`].
        generation: Generation,
        /// What it found.
        facts: RunFacts,
    },
    /// A worker measured something.
    Reported {
        /// Which.
        worker: WorkerId,
        /// Of its [`super::Command::Begin`].
        generation: Generation,
        /// Number of the first of `reports`.
        first: u64,
        /// In order.
        reports: Vec<Report>,
    },
    /// A worker's loop ended by itself.
    Finished {
        /// Which.
        worker: WorkerId,
        /// Of its [`super::Command::Begin`].
        generation: Generation,
        /// What came out.
        outcome: Outcome,
    },
    /// A worker can't go on.
    Failed {
        /// Which.
        worker: WorkerId,
        /// Of its [`super::Command::Begin`], if it had one.
        generation: Option<Generation>,
        /// In words.
        reason: String,
        /// Whether the job file or its data are to blame.
        bad_input: bool,
    },
    /// A worker's weights are in the run folder, durable.
    FileStored {
        /// Which.
        worker: WorkerId,
        /// Of its bytes, hex.
        sha256: String,
    },
    /// A record of a job could not be made durable.
    StorageFailed {
        /// Whose record.
        job: JobId,
        /// In words.
        cause: String,
    },
    /// A user hands in a job.
    Submitted {
        /// Who waits.
        ticket: Ticket,
        /// What.
        submission: Box<Submission>,
    },
    /// A user wants a job to end.
    CancelRequested {
        /// Who waits.
        ticket: Ticket,
        /// Its id, maybe shortened.
        job: String,
    },
    /// A signal wants all jobs to end.
    Interrupted {
        /// In words: "stopped by Ctrl-C".
        reason: String,
    },
    /// Nothing but time passed.
    Tick,
}

/// An agent's first words.
#[derive(Clone, Debug)]
pub struct AgentHello {
    /// Of its binary.
    pub version: String,
    /// Its node.
    pub node: NodeId,
    /// For people.
    pub host: String,
    /// Worker processes that it may run at once.
    pub slots: u32,
    /// Threads of a slot.
    pub threads: u32,
}

/// A worker's first words.
#[derive(Clone, Debug)]
pub struct WorkerHello {
    /// Of its binary.
    pub version: String,
    /// Its id, given by the coordinator.
    pub worker: WorkerId,
    /// Its node.
    pub node: NodeId,
    /// Data plane between nodes.
    pub data_address: String,
    /// Data plane inside the node.
    pub unix_address: String,
    /// Threads that it runs.
    pub threads: u32,
    /// What its results depend on.
    pub fingerprint: Fingerprint,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// In words: "exited with code 1", "killed by SIGKILL".
    pub cause: String,
    /// Exit code 0.
    pub clean: bool,
}

impl Exit {
    /// Whether it ended by a signal or a panic, which is never the consequence of an abort.
    pub fn is_a_cause(&self) -> bool {
        self.cause.starts_with("killed by") || self.cause.starts_with("exited with code 101")
    }
}

/// A job as handed in, parsed and checked.
#[derive(Clone, Debug)]
pub struct Submission {
    /// For people.
    pub name: String,
    /// As parsed.
    pub spec: JobSpec,
    /// As handed in, fully resolved.
    pub toml: String,
    /// The run's folder; none for one under the coordinator's state.
    pub run_folder: Option<PathBuf>,
    /// The command line that handed it in.
    pub command: String,
}
