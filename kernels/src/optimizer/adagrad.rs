//! Adagrad.

/// `s += g²; w −= η / (1 + t·decay) · g / (√s + ε)`, with t steps before this one. s starts at the initial accumulator.
///
/// Duchi, Hazan & Singer 2011, "Adaptive subgradient methods for online learning and stochastic optimization". As
/// `torch.optim.Adagrad`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad {
    /// η.
    pub learning_rate: f64,
    /// Of the learning rate, a step.
    pub learning_rate_decay: f64,
    /// ε.
    pub epsilon: f64,
    /// Steps before this one, t.
    pub steps: u64,
}

impl Adagrad {
    /// η / (1 + t·decay).
    pub(super) fn decayed_rate(&self) -> f64 {
        self.learning_rate / (1.0 + self.steps as f64 * self.learning_rate_decay)
    }

    pub(super) fn constants(&self) -> Constants {
        Constants { rate: self.decayed_rate() as f32, epsilon: self.epsilon as f32 }
    }
}

/// What the formula takes, each rounded once.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    pub(super) rate: f32,
    pub(super) epsilon: f32,
}
