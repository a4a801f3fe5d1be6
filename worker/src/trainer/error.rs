//! Why a trainer could not go on.

use crate::data::DataError;
use crate::model::BuildError;

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
    /// The reduction failed: a peer is lost, or the membership was ended.
    #[error(transparent)]
    Reduction(#[from] lockstep_collective::Error),
    /// The machine refused something.
    #[error("{0}")]
    Machine(String),
}

impl TrainerError {
    /// Whether another machine would fail the same way: the user has to change job or data.
    pub fn bad_input(&self) -> bool {
        match self {
            Self::Job(_) | Self::Data(_) | Self::Model(_) => true,
            Self::Reduction(_) | Self::Machine(_) => false,
        }
    }
}
