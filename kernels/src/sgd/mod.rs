//! SGD with momentum and coupled weight decay, in PyTorch's order of operations:
//! `g = gradient/count + weight_decay·w; v = momentum·v + g; w −= learning_rate · (nesterov ? g + momentum·v : v)`.

mod cpu;

use crate::device::Memory;

/// Constants of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// η.
    pub learning_rate: f32,
    /// Momentum μ.
    pub momentum: f32,
    /// Weight decay λ, added to the gradient.
    pub weight_decay: f32,
    /// Nesterov's variant.
    pub nesterov: bool,
    /// Samples whose gradients the sum holds; the gradient is multiplied by `1/count`, rounded once to f32.
    pub count: u64,
}

/// Contract of the update.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Sgd: Memory {
    /// `gradient` (P) sum over samples; `velocity` (P) and `parameters` (P) are updated in place. P may be any part
    /// of the flat vector: the update is element-wise.
    fn sgd_update(
        &mut self,
        step: &SgdStep,
        gradient: Self::View<'_, f32>,
        velocity: Self::ViewMut<'_, f32>,
        parameters: Self::ViewMut<'_, f32>,
    );
}
