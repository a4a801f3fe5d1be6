//! What may happen to a cluster.

use std::path::PathBuf;

use lockstep_proto::gpu::{Gpu, GpuReading};
use lockstep_proto::identity::{Generation, JobId, NodeId, WorkerId};
use lockstep_proto::job::Job as JobSpec;
use lockstep_proto::ledger::LedgerRow;
use lockstep_proto::slot::SlotDevice;
use lockstep_proto::wire;

use super::facts::{CheckpointFact, Fingerprint, Held, Outcome, Prepared, Report};
use super::record::{GenerationRecord, Member};

/// A stream to an agent or worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(pub u64);

/// A request that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Everything that the cluster reacts to.
#[derive(Clone, Debug)]
pub enum Event {
    /// An agent opened its stream, for the first time or again.
    AgentJoined {
        /// Where to answer.
        connection: Connection,
        /// What it offers and runs.
        hello: AgentHello,
    },
    /// An agent gave a sign of life.
    AgentAlive {
        /// Which.
        node: NodeId,
    },
    /// An agent was told to end and wants to be rid of its workers.
    AgentLeaving {
        /// Which.
        node: NodeId,
        /// In words.
        reason: String,
    },
    /// An agent's stream ended.
    AgentLost {
        /// Which.
        node: NodeId,
        /// Which stream: a newer one may have taken its place.
        connection: Connection,
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
    /// A worker opened its stream, for the first time or again.
    WorkerJoined {
        /// Where to answer.
        connection: Connection,
        /// What it is.
        hello: Box<WorkerHello>,
    },
    /// A worker's stream ended.
    WorkerLost {
        /// Which.
        worker: WorkerId,
        /// Which stream: a newer one may have taken its place.
        connection: Connection,
        /// In words.
        cause: String,
    },
    /// A worker says something.
    Told {
        /// Which.
        worker: WorkerId,
        /// What.
        news: News,
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
        /// For want of room: there may be some later.
        full: bool,
    },
    /// A user hands in a job.
    Submitted {
        /// Who waits.
        ticket: Ticket,
        /// What.
        submission: Box<Submission>,
    },
    /// A user wants something of a job.
    Asked {
        /// Who waits.
        ticket: Ticket,
        /// Its id, maybe shortened.
        job: String,
        /// What.
        wish: Wish,
    },
    /// A signal wants all jobs to end.
    Interrupted {
        /// In words: "stopped by Ctrl-C".
        reason: String,
    },
    /// A signal wants checkpoints of all jobs.
    CheckpointsWanted,
    /// Nothing but time passed.
    Tick,
}

/// What a user wants of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To end it for good.
    Cancel,
    /// To stop it with a checkpoint and give its slots back.
    Pause,
    /// To go on from there.
    Resume,
    /// Another number of workers.
    Scale(u32),
    /// A checkpoint.
    Checkpoint,
}

/// What a worker says.
#[derive(Clone, Debug)]
pub enum News {
    /// It lives.
    Alive(SignOfLife),
    /// Data set and model stand.
    Prepared(Prepared),
    /// The generation's members are connected and have the same state.
    Ready {
        /// Which generation.
        generation: Generation,
        /// That state.
        held: Held,
    },
    /// It committed steps.
    Reported(Batch),
    /// Its generation ended after a step, on all ranks alike.
    Finished {
        /// Which generation.
        generation: Generation,
        /// What it holds.
        held: Held,
        /// What came out.
        outcome: Outcome,
    },
    /// It left its generation without the others' consent.
    Left {
        /// Which generation.
        generation: Generation,
        /// What it holds; nothing if it never had a state.
        held: Option<Held>,
        /// In words.
        cause: String,
        /// Whose connection broke.
        lost_rank: Option<u32>,
        /// Its last events, for people.
        recent: Vec<String>,
    },
    /// The process can't go on.
    Failed(Failure),
    /// A checkpoint is on disk.
    CheckpointWritten(CheckpointFact),
    /// A checkpoint is not.
    CheckpointFailed {
        /// Of which step.
        step: u64,
        /// In words.
        reason: String,
        /// For want of room: it is tried again.
        full: bool,
    },
    /// Digests of its state.
    StateDigest {
        /// In which generation.
        generation: Generation,
        /// After which step.
        step: u64,
        /// Of each tensor: name, digest.
        tensors: Vec<(String, String)>,
    },
    /// Digest of a lane's gradient.
    LaneDigest {
        /// In which generation.
        generation: Generation,
        /// At which step.
        step: u64,
        /// Which lane.
        lane: u32,
        /// It holds the lane; else it computed it a second time.
        owner: bool,
        /// The digest.
        digest: String,
    },
}

/// Committed steps, as rank 0 tells them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In which generation.
    pub generation: Generation,
    /// Steps committed.
    pub step: u64,
    /// Number of the first of `rows` in the whole ledger.
    pub first_row: usize,
    /// They replace what is there.
    pub rows: Vec<LedgerRow>,
    /// In order of steps.
    pub reports: Vec<Report>,
}

/// A sign of life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignOfLife {
    /// Grows with every phase of every step.
    pub progress: u64,
    /// Which it is in.
    pub phase: String,
    /// Committed.
    pub step: u64,
    /// Seconds; the longest that this phase has taken before.
    pub longest: f64,
    /// Seconds that a lane takes; 0 where unknown.
    pub lane_seconds: f64,
    /// Phases, with the seconds that each has taken on the whole.
    pub phases: Vec<(String, f64)>,
    /// How its GPU fares.
    pub gpu: Option<GpuReading>,
}

/// An agent's first words.
#[derive(Clone, Debug)]
pub struct AgentHello {
    /// Of its binary.
    pub version: String,
    /// Its node.
    pub node: NodeId,
    /// Tells two processes of one node's name apart.
    pub process: String,
    /// For people.
    pub host: String,
    /// Worker processes that it may run at once.
    pub slots: u32,
    /// Threads of a slot.
    pub threads: u32,
    /// What each slot computes with.
    pub device: SlotDevice,
    /// Worker processes that it runs now.
    pub workers: Vec<WorkerId>,
    /// Its GPUs as they were when it started, also those that no worker gets.
    pub gpus: Vec<Gpu>,
}

/// A worker's first words.
#[derive(Clone, Debug)]
pub struct WorkerHello {
    /// Of its binary.
    pub version: String,
    /// Its id, given by a coordinator.
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
    /// What its device's vectors go by.
    pub transport: Transport,
    /// What it did under a coordinator before; nothing the first time.
    pub attachment: Option<Attachment>,
}

/// What vectors go by from a device to others of its kind. Both are empty where the device has them in the host's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// Such as `NCCL 2.28.9`; empty where there is none.
    pub name: String,
    /// Why there is none.
    pub missing: String,
}

/// What a worker that comes back tells: enough to take its job over.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its job; none before it was assigned one.
    pub assignment: Option<Assignment>,
    /// It takes part in no generation that is not above.
    pub highest_generation: u64,
    /// Its data set and model, once they stand.
    pub prepared: Option<Prepared>,
    /// The generation that it takes part in now, and its members by rank.
    pub generation: Option<(Generation, Vec<Member>)>,
    /// What it holds in memory.
    pub held: Option<Held>,
}

/// What a worker is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The job.
    pub job: JobId,
    /// For people.
    pub name: String,
    /// The job, fully resolved.
    pub toml: String,
    /// Where its files go.
    pub run_folder: PathBuf,
    /// The command line that handed it in.
    pub command: String,
    /// Folders whose checkpoints may be gone on from, beside its own.
    pub from: Vec<String>,
}

impl From<Assignment> for wire::Assignment {
    fn from(assignment: Assignment) -> Self {
        let Assignment { job, name, toml, run_folder, command, from } = assignment;
        let run_folder = run_folder.to_string_lossy().into_owned();
        Self { job: job.to_string(), name, job_toml: toml, run_folder, command, from }
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// In words: "exited with code 1", "killed by SIGKILL".
    pub cause: String,
    /// Exit code 0.
    pub clean: bool,
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub reason: String,
    /// Whether the job file or its data are to blame.
    pub bad_input: bool,
    /// Steps committed before one that was not finite; none if that is not why.
    pub diverged: Option<u64>,
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
    /// Folders whose checkpoints may be gone on from.
    pub from: Vec<String>,
    /// The run folder is a run's that is gone on with.
    pub go_on: bool,
    /// Memberships that it had.
    pub history: Vec<GenerationRecord>,
}
