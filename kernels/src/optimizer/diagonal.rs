//! Stochastic diagonal Levenberg–Marquardt.

/// `w −= η / (μ + h) · g`, where h is each parameter's own second derivative, a vector of the state that this leaves as
/// it is.
///
/// LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition", appendix C, eq. 18
/// and 19; LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", §9.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diagonal {
    /// η.
    pub learning_rate: f64,
    /// μ, which bounds the step where h is small.
    pub mu: f64,
}

impl Diagonal {
    pub(super) fn constants(&self) -> Constants {
        Constants { rate: self.learning_rate as f32, mu: self.mu as f32 }
    }
}

/// What the formula takes, each rounded once.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    pub(super) rate: f32,
    pub(super) mu: f32,
}
