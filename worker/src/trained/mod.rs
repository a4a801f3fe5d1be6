//! A trained model, used in this process: evaluated over a data set, or asked about images.
//!
//! Evaluation goes through the trainer's own lanes and tree, so that it comes to the very bits that training reported.

mod evaluate;
mod predict;

use lockstep_kernels::cpu::{Cpu, InstructionSet};

pub use evaluate::{Evaluated, MOST_CONFUSED, evaluate};
pub use predict::{Answer, Predictor};

use crate::model::{BuildError, WeightsError};
use crate::trainer::TrainerError;
use lockstep_dataset::DataError;

/// Why a model could not be used.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// Model, data and weights don't fit.
    #[error(transparent)]
    Model(#[from] BuildError),
    /// The data set can't be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The weights can't.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The job or a request of the user can't.
    #[error("{0}")]
    Request(String),
    /// The machine refused something.
    #[error("{0}")]
    Machine(String),
}

impl UseError {
    /// Whether it is the user who has to change something.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Machine(_))
    }
}

impl From<TrainerError> for UseError {
    fn from(error: TrainerError) -> Self {
        if error.bad_input() { Self::Request(error.to_string()) } else { Self::Machine(error.to_string()) }
    }
}

/// The best that this machine has, whatever a job pins: all give the same bits.
fn device() -> Cpu {
    Cpu::new(InstructionSet::detect())
}
