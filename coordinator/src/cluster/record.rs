//! What is kept of a job: the row in the database, `run.json` and `summary.json`.

use std::path::PathBuf;

use lockstep_proto::identity::JobId;
use lockstep_proto::ledger::Ledger;
use lockstep_proto::wire;
use serde::{Deserialize, Serialize};

use super::facts::{CheckpointFact, Fingerprint, Outcome, Report, RunFacts};
use super::time::Timestamp;

/// Names of a job's states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateName {
    /// Waits for slots.
    Queued,
    /// Its workers come up.
    Starting,
    /// Steps are made.
    Running,
    /// Workers were lost: the others regroup.
    Recovering,
    /// Told to end.
    Stopping,
    /// Told to pause.
    Pausing,
    /// Has no workers until it is resumed, or waits for room on a disk.
    Paused,
    /// Ended: all steps are done.
    Completed,
    /// Ended: it could not go on.
    Failed,
    /// Ended by a user.
    Cancelled,
    /// Ended by a signal.
    Interrupted,
}

impl StateName {
    const ALL: [Self; 11] = [
        Self::Queued,
        Self::Starting,
        Self::Running,
        Self::Recovering,
        Self::Stopping,
        Self::Pausing,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// As the wire and the database have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Recovering => "recovering",
            Self::Stopping => "stopping",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing more will happen.
    pub fn ended(self) -> bool {
        match self {
            Self::Queued
            | Self::Starting
            | Self::Running
            | Self::Recovering
            | Self::Stopping
            | Self::Pausing
            | Self::Paused => false,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Interrupted => true,
        }
    }
}

/// A job's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its id.
    pub job: JobId,
    /// For people.
    pub name: String,
    /// The job, fully resolved.
    pub toml: String,
    /// The command line that handed it in.
    pub command: String,
    /// Where its files are.
    pub run_folder: PathBuf,
    /// What it is.
    pub state: StateName,
    /// Why it is that.
    pub reason: String,
    /// Failed because of what the job says.
    pub bad_input: bool,
    /// Failed because a step was not finite: steps committed before it.
    pub diverged: Option<u64>,
    /// When it was handed in.
    pub submitted: Timestamp,
    /// When its first generation was ready.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What came out.
    pub outcome: Option<Outcome>,
    /// Its workers by rank; empty before they are known.
    pub placements: Vec<Placement>,
    /// Workers that it asks for.
    pub workers: u32,
    /// Folders whose checkpoints it may go on from.
    pub from: Vec<String>,
    /// The number of the newest generation; 0 before the first.
    pub generation: u64,
    /// Its newest generation's members by rank, as long as it has workers.
    pub members: Vec<Member>,
    /// The random id of that generation, while it is under way.
    pub generation_id: Option<[u8; 16]>,
    /// What is known of the run.
    pub facts: RunFacts,
    /// Of its workers.
    pub fingerprint: Fingerprint,
}

impl From<Member> for wire::Member {
    fn from(member: Member) -> Self {
        let Member { worker, node, data_address, unix_address, threads, lanes } = member;
        Self { worker, node, data_address, unix_address, threads, lanes }
    }
}

/// What is known of a job from an earlier life of the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Its row.
    pub record: Record,
    /// Reports up to this step are recorded.
    pub recorded_step: u64,
    /// Committed steps.
    pub ledger: Ledger,
    /// Checkpoints on disk, oldest first.
    pub checkpoints: Vec<CheckpointFact>,
    /// Every membership that it had.
    pub generations: Vec<GenerationRecord>,
    /// Lines of its `metrics.jsonl`: the evaluations, and the newest step.
    pub measured: Vec<Report>,
}

/// A worker as others in its generation see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which.
    pub worker: String,
    /// Where.
    pub node: String,
    /// Data plane between nodes.
    pub data_address: String,
    /// Data plane inside the node.
    pub unix_address: String,
    /// Threads that it runs.
    pub threads: u32,
    /// Lanes of a full batch that it holds.
    pub lanes: u32,
}

/// Where a worker runs, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Its rank.
    pub rank: u32,
    /// Its id.
    pub worker: String,
    /// Its node.
    pub node: String,
    /// Its host.
    pub host: String,
    /// Lanes of a full batch that it holds.
    pub lanes: u32,
    /// Threads that it runs.
    pub threads: u32,
    /// Instruction set of its kernels.
    pub instruction_set: String,
}

/// Content of `run.json`.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord {
    /// Id of the job.
    pub job: String,
    /// For people.
    pub name: String,
    /// Of the coordinator; workers have the same.
    pub version: String,
    /// The command line that handed the job in.
    pub command: String,
    /// Of rank 0; all others agree.
    pub fingerprint: Fingerprint,
    /// Data set and sizes, once known.
    #[serde(flatten)]
    pub facts: RunFacts,
    /// What the weights' bits are a function of.
    pub bits: Bits,
    /// Every membership that the job had.
    pub generations: Vec<GenerationRecord>,
}

/// What the bits of a run's weights are a function of, beside its fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bits {
    /// Nothing but job and data.
    OfTheJob,
    /// Its memberships as well: `optimizer.reduction` adds in the devices' own order.
    OfItsWorkersToo,
}

/// One membership of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRecord {
    /// Grows from 1.
    pub number: u64,
    /// Random, hex.
    pub id: String,
    /// When it was dealt, seconds since 1970.
    pub began: f64,
    /// Why it came to be.
    pub reason: String,
    /// The step that it began at.
    pub first_step: u64,
    /// Where that state came from: `initial`, `memory` or `checkpoint`.
    pub from: String,
    /// What gradients went by from device to device; empty for the hosts' memory.
    #[serde(default)]
    pub transport: String,
    /// By rank.
    pub members: Vec<Placement>,
}

/// Content of `summary.json`; null where unknown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Fraction of the test split that was wrong.
    pub test_error: Option<f64>,
    /// Fraction of the test split whose class is not among the five best answers.
    pub test_top5_error: Option<f64>,
    /// Mean over the test split.
    pub test_loss: Option<f64>,
    /// Mean over the last epoch's steps.
    pub train_loss: Option<f64>,
    /// Steps committed.
    pub steps: Option<u64>,
    /// Epochs done.
    pub epochs: Option<u64>,
    /// Samples committed.
    pub samples: Option<u64>,
    /// Of the training loop, evaluation included.
    pub seconds: Option<f64>,
    /// `samples / seconds`.
    pub samples_per_second: Option<f64>,
    /// Worker processes.
    pub workers: u32,
    /// Threads a worker.
    pub threads: Option<u32>,
    /// Of `final/model.safetensors`.
    pub weights_sha256: Option<String>,
    /// `completed`, or what completed it before all steps were done: `target`, `plateau`, `time`; `cancelled`,
    /// `interrupted`, `nonfinite` (numbers that are not finite ended it) or `failed`.
    pub stop_reason: String,
    /// Where the target was reached.
    pub steps_to_target: Option<u64>,
    /// The same in words.
    pub reason: String,
}
