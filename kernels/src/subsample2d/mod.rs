//! Trainable sub-sampling of LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998, layers S2 and S4), without its activation:
//! `y[n,c,i,j] = weight[c] · Σ x[n,c,2i+u,2j+v] + bias[c]`, u and v in {0, 1}.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Sizes of a sub-sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample2dSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels, C.
    pub channels: usize,
    /// Input height, H; a last odd row is left out.
    pub height: usize,
    /// Input width, W; a last odd column is left out.
    pub width: usize,
}

impl Subsample2dSize {
    /// H′ = ⌊H / 2⌋.
    pub fn out_height(&self) -> usize {
        self.height / 2
    }
    /// W′ = ⌊W / 2⌋.
    pub fn out_width(&self) -> usize {
        self.width / 2
    }

    fn in_features(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn out_features(&self) -> usize {
        self.channels * self.out_height() * self.out_width()
    }
}

/// Contract of the sub-sampling.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Subsample2d: Memory {
    /// `x` (N, C, H, W), `y` (N, C, H′, W′) activations, `weight` (C) the coefficients, `bias` (C).
    fn subsample2d_forward(
        &mut self,
        size: &Subsample2dSize,
        x: Self::View<'_, f32>,
        weight: Self::View<'_, f32>,
        bias: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
    );

    /// Every place of a window gets `weight[c] · d_y`, places outside all windows zero. Overwrites `d_x`.
    fn subsample2d_backward_input(
        &mut self,
        size: &Subsample2dSize,
        weight: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_x: Self::ViewMut<'_, f32>,
    );

    /// `d_weight[c] = Σ d_y · (the window's sum)`, `d_bias[c] = Σ d_y`. Overwrites both.
    /// Padding samples of `d_y` must be zero.
    fn subsample2d_backward_weight(
        &mut self,
        size: &Subsample2dSize,
        x: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_weight: Self::ViewMut<'_, f32>,
        d_bias: Self::ViewMut<'_, f32>,
    );
}
