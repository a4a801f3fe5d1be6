//! Adam, and with decoupled weight decay AdamW.

use crate::scalar::power;

/// `m = β₁·m + (1 − β₁)·g; v = β₂·v + (1 − β₂)·g²; w −= η/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)`, t counting from 1.
///
/// Kingma & Ba 2015, "Adam: a method for stochastic optimization", algorithm 1; with [`super::Decay::Decoupled`]
/// Loshchilov & Hutter 2019. As `torch.optim.Adam` and `AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// η.
    pub learning_rate: f64,
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub epsilon: f64,
    /// Steps before this one, t − 1.
    pub steps: u64,
}

impl Adam {
    /// `1 − β₁ᵗ` and `√(1 − β₂ᵗ)`.
    pub(super) fn corrections(&self) -> (f64, f64) {
        let step = self.steps + 1;
        (1.0 - power(self.beta1, step), (1.0 - power(self.beta2, step)).sqrt())
    }

    pub(super) fn constants(&self) -> Constants {
        let (correction, root_correction) = self.corrections();
        Constants {
            rate: (self.learning_rate / correction) as f32,
            root_correction: root_correction as f32,
            epsilon: self.epsilon as f32,
            moments: Moments::of(self.beta1, self.beta2),
        }
    }
}

/// What the formula takes, each rounded once.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    /// η / (1 − β₁ᵗ).
    pub(super) rate: f32,
    /// √(1 − β₂ᵗ).
    pub(super) root_correction: f32,
    pub(super) epsilon: f32,
    pub(super) moments: Moments,
}

/// The moving averages of gradients and squares.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    /// 1 − β₁.
    pub(super) rest1: f32,
    pub(super) beta2: f32,
    /// 1 − β₂.
    pub(super) rest2: f32,
}

impl Moments {
    pub(super) fn of(beta1: f64, beta2: f64) -> Self {
        Self { rest1: (1.0 - beta1) as f32, beta2: beta2 as f32, rest2: (1.0 - beta2) as f32 }
    }
}
