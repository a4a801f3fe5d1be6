//! The update: how the parameters follow the gradient.
//!
//! Every rule is element-wise over the flat vectors, in PyTorch's order of operations, each product, quotient, root and
//! sum rounded by itself, as PyTorch computes tensor by tensor on a CPU without fused multiply-adds. Hyperparameters
//! are f64; what is constant over the vector is computed in f64 and rounded to f32 once.

mod adagrad;
mod adam;
mod cpu;
mod cuda;
mod diagonal;
mod lamb;
mod lars;
mod rmsprop;
mod sgd;

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use diagonal::Diagonal;
pub use lamb::Lamb;
pub use lars::Lars;
pub use rmsprop::Rmsprop;
pub use sgd::Sgd;

use crate::device::Memory;

/// Most vectors that a rule keeps beside the parameters.
pub const MOST_VECTORS: usize = 3;

/// From the reduced sum to the gradient: `g = clamp(sum · 1/count · factor, ±limit)`; `1/count` is rounded to f32 once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Samples whose gradients the sum holds.
    pub count: u64,
    /// Of clipping by norm, see [`Scaling::factor_of_norm`]; 1 for none.
    pub factor: f32,
    /// Of clipping by value; infinite for none.
    pub limit: f32,
}

impl Scaling {
    /// The mean over `count` samples, not clipped.
    pub fn mean(count: u64) -> Self {
        Self { count, factor: 1.0, limit: f32::INFINITY }
    }

    /// The factor that clips a gradient of norm `norm` to `most`: `min(1, most / (norm + 1e-6))`, as
    /// `torch.nn.utils.clip_grad_norm_` (Pascanu et al. 2013, "On the difficulty of training recurrent neural
    /// networks", §3.2). A norm that is no number gives no number.
    pub fn factor_of_norm(norm: f64, most: f64) -> f32 {
        let factor = most / (norm + 1e-6);
        // Not `min`, which would hide a NaN.
        if factor > 1.0 { 1.0 } else { factor as f32 }
    }

    /// `1/count`, with which the sum is multiplied first.
    pub(crate) fn reciprocal(&self) -> f32 {
        (1.0 / self.count as f64) as f32
    }
}

/// Weight decay λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// None.
    None,
    /// L2 regularisation: `g += λ·w`.
    Coupled(f64),
    /// `w *= 1 − η·λ` before the rule (Loshchilov & Hutter 2019, "Decoupled weight decay regularization").
    Decoupled(f64),
}

/// What turns a gradient into a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// [`Sgd`]; state: the velocity, if there is momentum.
    Sgd(Sgd),
    /// [`Adagrad`]; state: the sum of squares.
    Adagrad(Adagrad),
    /// [`Rmsprop`]; state: the mean of squares, then the mean if it is centred, or `None`, then the velocity if there
    /// is momentum, or `None`.
    Rmsprop(Rmsprop),
    /// [`Adam`]; state: first and second moment.
    Adam(Adam),
    /// [`Lars`]; state: the velocity, if there is momentum.
    Lars(Lars),
    /// [`Lamb`]; state: first and second moment, then a vector that the direction is written to. Parameters stay: they
    /// follow in [`Optimize::descend`], once the direction's norm is known.
    Lamb(Lamb),
    /// [`Diagonal`]; state: the second derivatives, which stay.
    Diagonal(Diagonal),
}

impl Rule {
    /// η of this step.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(rule) => rule.learning_rate,
            Self::Adagrad(rule) => rule.learning_rate,
            Self::Rmsprop(rule) => rule.learning_rate,
            Self::Adam(rule) => rule.learning_rate,
            Self::Lars(rule) => rule.learning_rate,
            Self::Lamb(rule) => rule.learning_rate,
            Self::Diagonal(rule) => rule.learning_rate,
        }
    }

    /// Which vectors of the state it has.
    fn needs(&self) -> [bool; MOST_VECTORS] {
        match self {
            Self::Sgd(rule) => [rule.momentum > 0.0, false, false],
            Self::Rmsprop(rule) => [true, rule.centered, rule.momentum > 0.0],
            Self::Adam(_) => [true, true, false],
            Self::Lars(rule) => [rule.momentum > 0.0, false, false],
            Self::Lamb(_) => [true; MOST_VECTORS],
            Self::Adagrad(_) | Self::Diagonal(_) => [true, false, false],
        }
    }
}

/// One update of a part of the flat vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// From the sum to the gradient.
    pub scaling: Scaling,
    /// Weight decay.
    pub decay: Decay,
    /// What follows.
    pub rule: Rule,
}

impl Update {
    fn shrink(&self) -> Shrink {
        match (self.decay, &self.rule) {
            (Decay::None, _) | (_, Rule::Lamb(_)) => Shrink::None,
            (Decay::Coupled(decay), _) => Shrink::Coupled(decay as f32),
            (Decay::Decoupled(decay), rule) => Shrink::Decoupled((1.0 - rule.learning_rate() * decay) as f32),
        }
    }
}

/// Weight decay as it is computed.
#[derive(Clone, Copy)]
enum Shrink {
    None,
    /// λ.
    Coupled(f32),
    /// 1 − η·λ.
    Decoupled(f32),
}

/// The same part of all vectors, of P elements each.
pub struct Vectors<'g, 'a, M: Memory> {
    /// The sum over samples.
    pub gradient: M::View<'g, f32>,
    /// Updated in place.
    pub parameters: M::ViewMut<'a, f32>,
    /// As the rule needs, updated in place; zeros before the first step unless the rule says otherwise.
    pub state: [Option<M::ViewMut<'a, f32>>; MOST_VECTORS],
}

impl<M: Memory> Vectors<'_, '_, M> {
    /// Leaves only the vectors of the state that a rule needs.
    ///
    /// # Panics
    /// If one is not there.
    #[track_caller]
    fn keep(&mut self, needs: [bool; MOST_VECTORS]) {
        for (index, (vector, needed)) in self.state.iter_mut().zip(needs).enumerate() {
            assert!(vector.is_some() || !needed, "the rule needs vector {index} of the state");
            if !needed {
                *vector = None;
            }
        }
    }
}

/// Contract of the update.
///
/// # Panics
/// If a vector's length differs from the parameters', or the rule needs one that is not there.
pub trait Optimize: Memory {
    /// Gradient, then decay, then rule. P may be any part of the flat vector.
    fn update(&mut self, update: &Update, vectors: Vectors<'_, '_, Self>);

    /// `parameters −= rate · direction`.
    fn descend(&mut self, rate: f32, direction: Self::View<'_, f32>, parameters: Self::ViewMut<'_, f32>);
}
