//! What is minimised, with its constants as the device takes them, and what outputs that minimise it say.

use lockstep_kernels::curvature::Criterion;
use lockstep_kernels::scalar::exp;
use lockstep_kernels::tangent::OutputTangent;
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

    /// ε of cross-entropy; none of other losses.
    pub fn smoothing(&self) -> Option<f32> {
        match self {
            Self::CrossEntropy => Some(0.0),
            Self::SmoothedCrossEntropy { smoothing } => Some(*smoothing),
            Self::SquaredError | Self::BinaryCrossEntropy | Self::Map { .. } => None,
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

    /// How its gradient changes with `classes` outputs.
    pub fn tangent(&self, classes: usize) -> OutputTangent {
        let share = (1.0 / classes as f64) as f32;
        match self {
            Self::CrossEntropy | Self::SmoothedCrossEntropy { .. } => OutputTangent::Softmax,
            Self::SquaredError => OutputTangent::Quadratic { curvature: 2.0 * share },
            Self::BinaryCrossEntropy => OutputTangent::Sigmoid { scale: share },
            Self::Map { .. } => OutputTangent::Shares,
        }
    }

    /// A sample's class by the outputs of the classes: the best, the first of equal ones; NaNs are behind all.
    pub fn answer(&self, outputs: &[f32]) -> usize {
        let better = |x: f32, best: f32| match self {
            Self::Map { .. } => x < best,
            _ => x > best,
        };
        let mut answer = 0;
        for (class, &x) in outputs.iter().enumerate() {
            if better(x, outputs[answer]) || (outputs[answer].is_nan() && !x.is_nan()) {
                answer = class;
            }
        }
        answer
    }

    /// Probabilities of the classes, as the outputs estimate them. Cross-entropy: their softmax, 1 in sum. Binary
    /// cross-entropy: each one's sigmoid. Squared error estimates them itself: outputs, but within 0 and 1. LeNet-5's:
    /// e^−x / (e^−j + Σ e^−x), where e^−j is the share of "none of them".
    pub fn probabilities(&self, outputs: &[f32]) -> Vec<f64> {
        let outputs = || outputs.iter().map(|&x| f64::from(x));
        let shares = |scores: Vec<f64>, none: Option<f64>| {
            let highest = scores.iter().copied().chain(none).fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| exp(score - highest)).collect();
            let sum = weights.iter().sum::<f64>() + none.map_or(0.0, |none| exp(none - highest));
            weights.into_iter().map(|weight| weight / sum).collect()
        };
        match self {
            Self::CrossEntropy | Self::SmoothedCrossEntropy { .. } => shares(outputs().collect(), None),
            Self::Map { rubbish } => shares(outputs().map(|x| -x).collect(), Some(-f64::from(*rubbish))),
            Self::BinaryCrossEntropy => outputs().map(|x| 1.0 / (1.0 + exp(-x))).collect(),
            Self::SquaredError => outputs().map(|x| x.clamp(0.0, 1.0)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_the_best_outputs() {
        let (map, nan) = (Loss::Map { rubbish: 1.0 }, f32::NAN);
        assert_eq!(Loss::CrossEntropy.answer(&[1.0, 3.0, 3.0, nan]), 1);
        assert_eq!(Loss::CrossEntropy.answer(&[nan, -3.0, nan]), 1);
        assert_eq!(Loss::CrossEntropy.answer(&[nan, nan]), 0);
        assert_eq!(map.answer(&[1.0, 0.5, 0.5]), 1);
    }

    #[test]
    fn probabilities_are_those_of_the_loss() {
        let close = |loss: Loss, outputs: &[f32], expected: &[f64]| {
            let ours = loss.probabilities(outputs);
            let same = ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(same && ours.len() == expected.len(), "{loss:?}: {ours:?}, not {expected:?}");
        };
        let third = 1.0 / 3.0;
        close(Loss::CrossEntropy, &[1000.0, 1000.0, 1000.0], &[third; 3]);
        close(Loss::SmoothedCrossEntropy { smoothing: 0.1 }, &[0.0, 0.0], &[0.5; 2]);
        close(Loss::BinaryCrossEntropy, &[0.0, -1000.0], &[0.5, 0.0]);
        close(Loss::SquaredError, &[0.25, -0.5, 1.5], &[0.25, 0.0, 1.0]);
        close(Loss::Map { rubbish: 2.0 }, &[2.0, 2.0], &[third; 2]);
    }
}
