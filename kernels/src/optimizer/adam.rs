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
}
