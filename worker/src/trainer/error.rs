//! Why a trainer could not go on, or not in this generation.

use lockstep_proto::ledger::Gap;

use crate::model::{BuildError, WeightsError};
use lockstep_dataset::DataError;

/// An error of the compute thread, with the party at fault.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// The job is malformed or does not fit its data.
    #[error("{0}")]
    Job(String),
    /// The data set can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model doesn't fit the data.
    #[error(transparent)]
    Model(#[from] BuildError),
    /// The initial weights can't be used.
    #[error("model.init_from: {0}")]
    Weights(#[from] WeightsError),
    /// The checkpoint folder can't be used, or holds another job's checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] lockstep_checkpoint::Error),
    /// The reduction failed: a peer is lost, or the generation was aborted.
    #[error(transparent)]
    Reduction(#[from] lockstep_collective::Error),
    /// The generation can't be entered.
    #[error("{0}")]
    Entry(String),
    /// The state contradicts itself.
    #[error("the state contradicts itself: {0}")]
    State(#[from] Gap),
    /// The device has failed.
    #[error(transparent)]
    Device(#[from] lockstep_kernels::device::Failure),
    /// The machine refused something.
    #[error("{0}")]
    Machine(String),
}

impl TrainerError {
    /// Whether the folder of the data is not there.
    pub fn is_without_data(&self) -> bool {
        matches!(self, Self::Data(DataError::NoFolder(_)))
    }

    /// Whether another machine would fail the same way: the user has to change job or data.
    pub fn bad_input(&self) -> bool {
        match self {
            Self::Job(_) | Self::Data(_) | Self::Model(_) | Self::Weights(_) | Self::Checkpoint(_) => true,
            Self::Reduction(_) | Self::Entry(_) | Self::State(_) | Self::Device(_) | Self::Machine(_) => false,
        }
    }

    /// Whether the worker can take part in another generation.
    pub(super) fn ends_generation_only(&self) -> bool {
        use lockstep_collective::Error as Reduction;
        match self {
            Self::Reduction(Reduction::SharedMemory(_) | Reduction::System { .. }) => false,
            Self::Reduction(_) | Self::Entry(_) => true,
            Self::Job(_) | Self::Data(_) | Self::Model(_) | Self::Weights(_) | Self::Checkpoint(_) => false,
            Self::State(_) | Self::Device(_) | Self::Machine(_) => false,
        }
    }

    /// The rank whose connection broke, or never stood.
    pub(super) fn lost_rank(&self) -> Option<u32> {
        use lockstep_collective::Error as Reduction;
        match self {
            Self::Reduction(Reduction::Lost { rank, .. } | Reduction::Missing { rank, .. }) => Some(*rank),
            _ => None,
        }
    }
}
