//! What happens to a worker.

use std::sync::Arc;

use lockstep_proto::identity::Generation;
use lockstep_proto::ledger::LedgerRow;
use lockstep_proto::wire;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A stream to the coordinator stands; nothing was said on it yet.
    Connected,
    /// The coordinator took the worker in.
    Welcomed,
    /// The coordinator did not.
    Refused(String),
    /// The stream to the coordinator ended; another is being tried for.
    StreamLost(String),
    /// What the worker is for.
    Assigned(Box<wire::Assignment>),
    /// A generation begins.
    Begin(Box<Entry>),
    /// Stop after the step in flight.
    Stop {
        /// Which generation.
        generation: Generation,
        /// Whose wish it is.
        why: StopReason,
    },
    /// Leave the generation at once.
    Abort {
        /// Which generation.
        generation: Generation,
        /// In words.
        reason: String,
    },
    /// Reports up to `step` and ledger rows below `rows` are durable.
    Acknowledged {
        /// Rows.
        rows: u64,
        /// Committed steps.
        step: u64,
    },
    /// Write a checkpoint at the next step boundary.
    WriteCheckpoint,
    /// Delete the checkpoints of these names.
    DeleteCheckpoints(Vec<String>),
    /// There is nothing more to do.
    Leave,
    /// The trainer says something.
    Trainer(TrainerEvent),
    /// The coordinator has the weights.
    WeightsStored {
        /// As in the command.
        attempt: u64,
    },
    /// It has not.
    WeightsNotStored {
        /// As in the command.
        attempt: u64,
        /// In words.
        reason: String,
        /// The connection broke; the coordinator refused nothing.
        lost: bool,
    },
}

/// What the compute thread tells. Each [`Entry`] is answered by `Left`, `Finished` or `Failed`, maybe after `Ready`.
#[derive(Clone, Debug)]
pub enum TrainerEvent {
    /// Data set, model and threads stand.
    Prepared(Box<wire::Prepared>),
    /// It is in the generation, with the state that this starts from.
    Ready(Box<Ready>),
    /// Steps were committed, evaluations made.
    Committed(Box<Batch>),
    /// The generation ended after a step, on all ranks alike.
    Finished {
        /// The state.
        held: wire::Held,
        /// Numbers of the run.
        outcome: Box<wire::Outcome>,
        /// `final/model.safetensors`, of rank 0 when all steps are done.
        weights: Option<Weights>,
    },
    /// It left the generation, which others may be in.
    Left {
        /// The state that it keeps.
        held: Option<wire::Held>,
        /// In words.
        cause: String,
        /// Whose connection broke.
        lost_rank: Option<u32>,
        /// The flight recorder's last events.
        recent: Vec<String>,
    },
    /// It can't go on.
    Failed {
        /// In words.
        reason: String,
        /// The job or its data is at fault.
        bad_input: bool,
    },
    /// Digests of the committed state.
    StateDigest(Box<wire::StateDigest>),
    /// Digest of a lane's gradient.
    LaneDigest(Box<wire::LaneDigest>),
    /// A checkpoint is complete.
    CheckpointWritten(Box<wire::CheckpointWritten>),
    /// A checkpoint could not be written.
    CheckpointFailed(Box<wire::CheckpointFailed>),
}

/// The state that a trainer begins with.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// Step and digest.
    pub held: wire::Held,
    /// The whole ledger.
    pub rows: Vec<LedgerRow>,
    /// Reports up to this step are made: one less if an evaluation behind the step is to be made up for.
    pub reported: u64,
    /// Reports that came with the state, from the member that gave it.
    pub reports: Vec<wire::Report>,
}

/// What was committed since the last batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Reports up to this step are made, an evaluation behind it too; rows may be further by a step.
    pub reported: u64,
    /// Number of the first of `rows` in the ledger; they replace all from there on.
    pub first_row: usize,
    /// The newest rows.
    pub rows: Vec<LedgerRow>,
    /// In the order of steps.
    pub reports: Vec<wire::Report>,
}

/// A generation as dealt by the coordinator.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which.
    pub generation: Generation,
    /// The message.
    pub begin: wire::Begin,
    /// Reports that the coordinator has not recorded; they go with the state to members that get it from here.
    pub reports: Vec<wire::Report>,
}

/// A file for the run folder.
#[derive(Clone, PartialEq, Eq)]
pub struct Weights(pub Arc<Vec<u8>>);

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Whose wish a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A client cancelled the job.
    Cancelled,
    /// A signal: the job is to be gone on with later.
    Interrupted,
    /// A client wants it to pause.
    Paused,
    /// The next generation has other members.
    Regrouped,
}

impl StopReason {
    const ALL: [Self; 4] = [Self::Cancelled, Self::Interrupted, Self::Paused, Self::Regrouped];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Paused => "paused",
            Self::Regrouped => "regrouped",
        }
    }

    /// The inverse of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}
