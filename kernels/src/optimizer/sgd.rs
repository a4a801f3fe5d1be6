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
