//! LARS: layer-wise adaptive rates.

/// `v = μ·v + η·r·(g + λ·w); w −= v`, with λ·w from [`super::Decay::Coupled`] and the trust ratio r of the tensor.
///
/// You, Gitman & Ginsburg 2017, "Large batch training of convolutional networks", algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lars {
    /// η.
    pub learning_rate: f64,
    /// μ.
    pub momentum: f64,
    /// r, see [`Lars::trust_ratio`]; 1 for plain SGD.
    pub trust_ratio: f64,
}

impl Lars {
    /// `trust · ‖w‖ / (‖g‖ + λ‖w‖)` of a tensor; 1 where weights or gradient are all zero, so that zeros can move.
    pub fn trust_ratio(trust: f64, weights: f64, gradient: f64, weight_decay: f64) -> f64 {
        if weights > 0.0 && gradient > 0.0 { trust * weights / (gradient + weight_decay * weights) } else { 1.0 }
    }

    pub(super) fn constants(&self) -> Constants {
        Constants { rate: (self.learning_rate * self.trust_ratio) as f32, momentum: self.momentum as f32 }
    }
}

/// What the formula takes, each rounded once.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    /// η·r.
    pub(super) rate: f32,
    pub(super) momentum: f32,
}
