//! Fully connected layer: `y[n,o] = Σ_i x[n,i] · w[o,i] + b[o]`.

mod cpu;
mod cublaslt;
mod cuda;

use crate::device::Memory;

/// Sizes of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Features in, I.
    pub inputs: usize,
    /// Those of one channel of x, H · W: `weight` has them channel by channel. 1 where x has no plane.
    pub plane: usize,
    /// Features out, O.
    pub outputs: usize,
}

/// Contract of the linear layer.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Linear: Memory {
    /// `x` (N, I) and `y` (N, O) activations, `weight` (O, I), `bias` (O).
    fn linear_forward(
        &mut self,
        size: &LinearSize,
        x: Self::View<'_, f32>,
        weight: Self::View<'_, f32>,
        bias: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `d_x[n,i] = Σ_o d_y[n,o] · w[o,i]`. Overwrites `d_x`.
    fn linear_backward_input(
        &mut self,
        size: &LinearSize,
        weight: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_x: Self::ViewMut<'_, f32>,
    );

    /// `d_w[o,i] = Σ_n d_y[n,o] · x[n,i]`, `d_b[o] = Σ_n d_y[n,o]`. Overwrites both.
    /// Padding samples of `d_y` must be zero (every op of this crate keeps them so).
    fn linear_backward_weight(
        &mut self,
        size: &LinearSize,
        x: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_weight: Self::ViewMut<'_, f32>,
        d_bias: Self::ViewMut<'_, f32>,
    );
}
