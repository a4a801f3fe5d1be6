//! 2-D convolution, stride 1: `y[n,o,i,j] = b[o] + Σ x[n,c,i+u−p,j+v−p] · w[o,c,u,v]`.

pub(crate) mod cpu;

use crate::device::Memory;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels in, C.
    pub in_channels: usize,
    /// Channels out, O.
    pub out_channels: usize,
    /// Input height, H.
    pub height: usize,
    /// Input width, W.
    pub width: usize,
    /// Kernel height and width, K.
    pub kernel: usize,
    /// Zeros around the input on every side, p < K.
    pub padding: usize,
}

impl Conv2dSize {
    /// H′ = H + 2p − K + 1.
    pub fn out_height(&self) -> usize {
        self.height + 2 * self.padding + 1 - self.kernel
    }
    /// W′ = W + 2p − K + 1.
    pub fn out_width(&self) -> usize {
        self.width + 2 * self.padding + 1 - self.kernel
    }
}

/// Contract of the convolution.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Conv2d: Memory {
    /// `x` (N, C, H, W), `y` (N, O, H′, W′) activations, `weight` (O, C, K, K), `bias` (O).
    fn conv2d_forward(
        &mut self,
        size: &Conv2dSize,
        x: Self::View<'_, f32>,
        weight: Self::View<'_, f32>,
        bias: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `d_x[n,c,i,j] = Σ d_y[n,o,i−u+p,j−v+p] · w[o,c,u,v]`. Overwrites `d_x`.
    fn conv2d_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_x: Self::ViewMut<'_, f32>,
    );

    /// `d_w[o,c,u,v] = Σ d_y[n,o,i,j] · x[n,c,i+u−p,j+v−p]`, `d_b[o] = Σ d_y[n,o,i,j]`. Overwrites both.
    /// Padding samples of `d_y` must be zero.
    fn conv2d_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_weight: Self::ViewMut<'_, f32>,
        d_bias: Self::ViewMut<'_, f32>,
    );
}
