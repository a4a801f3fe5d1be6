//! RMSprop.

/// `s = α·s + (1 − α)·g²; d = g / (√s + ε); w −= η·d`, or with momentum `v = μ·v + d; w −= η·v`.
/// Centred: `√(s − m²)` in place of `√s`, with m the moving mean of g; where rounding makes it negative, 0.
///
/// Tieleman & Hinton 2012, lecture 6.5 of "Neural networks for machine learning"; centred: Graves 2013, "Generating
/// sequences with recurrent neural networks", eq. 38–41. As `torch.optim.RMSprop`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rmsprop {
    /// η.
    pub learning_rate: f64,
    /// α.
    pub alpha: f64,
    /// ε.
    pub epsilon: f64,
    /// μ.
    pub momentum: f64,
    /// Whether the mean is taken off.
    pub centered: bool,
}

impl Rmsprop {
    pub(super) fn constants(&self) -> Constants {
        Constants {
            rate: self.learning_rate as f32,
            alpha: self.alpha as f32,
            rest: (1.0 - self.alpha) as f32,
            epsilon: self.epsilon as f32,
            momentum: self.momentum as f32,
            centered: self.centered,
        }
    }
}

/// What the formula takes, each rounded once.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    pub(super) rate: f32,
    pub(super) alpha: f32,
    /// 1 − α.
    pub(super) rest: f32,
    pub(super) epsilon: f32,
    pub(super) momentum: f32,
    pub(super) centered: bool,
}
