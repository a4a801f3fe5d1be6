//! What is minimised, with its constants as the device takes them.

use lockstep_kernels::curvature::Criterion;
use lockstep_proto::job::{self, LossName};

/// A loss over a micro-batch's outputs and labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Softmax cross-entropy.
    CrossEntropy,
    /// The same with a share of each label spread over all classes.
    SmoothedCrossEntropy {
        /// The share.
        smoothing: f32,
    },
    /// Squared distance to the one-hot target.
    SquaredError,
    /// Cross-entropy of each output's sigmoid.
    BinaryCrossEntropy,
    /// LeNet-5's maximum a posteriori loss.
    Map {
        /// Its constant j.
        rubbish: f32,
    },
}

impl Loss {
    /// The loss that a job names.
    pub fn of(loss: &job::Loss) -> Self {
        match loss.name {
            LossName::CrossEntropy if loss.smoothing > 0.0 => {
                Self::SmoothedCrossEntropy { smoothing: loss.smoothing as f32 }
            }
            LossName::CrossEntropy => Self::CrossEntropy,
            LossName::SquaredError => Self::SquaredError,
            LossName::BinaryCrossEntropy => Self::BinaryCrossEntropy,
            LossName::Map => Self::Map { rubbish: loss.rubbish as f32 },
        }
    }

    /// The second derivatives that it has with respect to `classes` outputs, for the diagonal of the Gauss–Newton matrix:
    /// those of the loss itself, without what is off the diagonal.
    pub fn criterion(&self, classes: usize) -> Criterion {
        let share = 1.0 / classes as f32;
        match self {
            Self::SquaredError => Criterion::Quadratic { curvature: 2.0 * share },
            Self::BinaryCrossEntropy => Criterion::Logistic { scale: share },
            // Job files are refused that smooth labels and want second derivatives.
            Self::CrossEntropy | Self::SmoothedCrossEntropy { .. } | Self::Map { .. } => {
                Criterion::Logistic { scale: 1.0 }
            }
        }
    }
}
