//! What a worker does.

use lockstep_proto::identity::Generation;
use lockstep_proto::wire;

use super::event::{Entry, StopReason, Weights};

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Tell the coordinator.
    Send(Box<wire::worker_event::Event>),
    /// Let the trainer open data set and model.
    Prepare(Box<wire::Assignment>),
    /// Let the trainer take part in a generation.
    Enter(Box<Entry>),
    /// Let the trainer set its stop-wanted bit in this generation.
    WantStop {
        /// Which generation.
        generation: Generation,
        /// Whose wish it is.
        why: StopReason,
    },
    /// Let the trainer leave this generation.
    AbortTrainer(Generation),
    /// Let the trainer write a checkpoint at the next step boundary.
    WriteCheckpoint,
    /// Let the trainer delete checkpoints.
    DeleteCheckpoints(Vec<String>),
    /// Store the weights in the run folder; an attempt that is still under way is given up.
    StoreWeights {
        /// Grows with each.
        attempt: u64,
        /// The file.
        weights: Weights,
    },
    /// Something was passed over: why, for the log.
    PassOver(String),
    /// End the process.
    Exit {
        /// 0 when all is done.
        code: u8,
        /// In words.
        reason: String,
    },
}

impl Command {
    pub(super) fn send(event: wire::worker_event::Event) -> Self {
        Self::Send(Box::new(event))
    }
}
