//! Stochastic gradient descent.

/// `v = μ·v + (1 − dampening)·g; w −= η · (nesterov ? g + μ·v : v)`; without momentum `w −= η·g`.
///
/// Momentum: Polyak 1964; the other form: Sutskever et al. 2013, "On the importance of initialization and momentum in
/// deep learning". As `torch.optim.SGD`, which does not dampen the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// η.
    pub learning_rate: f64,
    /// μ.
    pub momentum: f64,
    /// Part of the gradient that is kept out of the velocity.
    pub dampening: f64,
    /// Nesterov's variant.
    pub nesterov: bool,
    /// Steps before this one.
    pub steps: u64,
}

impl Sgd {
    pub(super) fn constants(&self) -> Constants {
        let dampening = if self.steps == 0 { 0.0 } else { self.dampening };
        Constants {
            rate: self.learning_rate as f32,
            momentum: self.momentum as f32,
            kept: (1.0 - dampening) as f32,
            nesterov: self.nesterov,
        }
    }
}

/// What the formula takes, each rounded once.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    pub(super) rate: f32,
    pub(super) momentum: f32,
    /// 1 − dampening.
    pub(super) kept: f32,
    pub(super) nesterov: bool,
}
