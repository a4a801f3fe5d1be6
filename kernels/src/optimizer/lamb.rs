//! LAMB: Adam with layer-wise rates.

use super::adam::{Adam, Moments};

/// `m`, `v` as in Adam; `u = m/(1 − β₁ᵗ) / (√v/√(1 − β₂ᵗ) + ε) + λ·w`, then `w −= η·r·u` with the trust ratio r of the
/// tensor. [`super::Decay`] has no part in it.
///
/// You et al. 2020, "Large batch optimization for deep learning: training BERT in 76 minutes", algorithm 2, φ the
/// identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lamb {
    /// η.
    pub learning_rate: f64,
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub epsilon: f64,
    /// λ.
    pub weight_decay: f64,
    /// Steps before this one, t − 1.
    pub steps: u64,
}

impl Lamb {
    /// `‖w‖ / ‖u‖` of a tensor; 1 where weights or direction are all zero, so that zeros can move.
    pub fn trust_ratio(weights: f64, direction: f64) -> f64 {
        if weights > 0.0 && direction > 0.0 { weights / direction } else { 1.0 }
    }

    /// `1 − β₁ᵗ` and `√(1 − β₂ᵗ)`.
    pub(super) fn corrections(&self) -> (f64, f64) {
        let Self { learning_rate, beta1, beta2, epsilon, steps, .. } = *self;
        Adam { learning_rate, beta1, beta2, epsilon, steps }.corrections()
    }

    pub(super) fn constants(&self) -> Constants {
        let (correction, root_correction) = self.corrections();
        Constants {
            correction: correction as f32,
            root_correction: root_correction as f32,
            epsilon: self.epsilon as f32,
            decay: self.weight_decay as f32,
            moments: Moments::of(self.beta1, self.beta2),
        }
    }
}

/// What the formula takes, each rounded once.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    /// 1 − β₁ᵗ.
    pub(super) correction: f32,
    /// √(1 − β₂ᵗ).
    pub(super) root_correction: f32,
    pub(super) epsilon: f32,
    pub(super) decay: f32,
    pub(super) moments: Moments,
}
