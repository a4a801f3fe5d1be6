//! Convolution and 2×2 maximum pooling as one op, so that a device need not store the convolution's output, four times
//! the pooled one, and may leave out the multiply-adds whose gradient is zero, as the CPU does.

mod cpu;
mod cuda;

use crate::conv2d::Conv2dSize;
use crate::device::Memory;

/// A pooled activation (N, O, ⌊H′/2⌋, ⌊W′/2⌋) or its gradient, and the chosen places, as long.
pub struct Pooled<'a, M: Memory> {
    /// One value a window.
    pub values: M::View<'a, f32>,
    /// The place of the value in its window, row by row: 0 to 3.
    pub choice: M::View<'a, u8>,
}

/// Like [`Pooled`], to be written.
pub struct PooledMut<'a, M: Memory> {
    /// One value a window.
    pub values: M::ViewMut<'a, f32>,
    /// The place of the value in its window, row by row: 0 to 3.
    pub choice: M::ViewMut<'a, u8>,
}

/// Contract of the convolution with pooling. The order of additions may differ from the two separate ops.
///
/// # Panics
/// If a buffer's length differs from its shape, or the convolution's stride, dilation or groups are not 1.
pub trait Conv2dMaxPool2d: Memory {
    /// `y.values` = the largest of each 2×2 window of the convolution (see [`crate::conv2d`]), `y.choice` its place;
    /// the first of equal values wins, a NaN wins over numbers. A last odd row or column is left out.
    fn conv2d_max_pool2d_forward(
        &mut self,
        size: &Conv2dSize,
        x: Self::View<'_, f32>,
        weight: Self::View<'_, f32>,
        bias: Self::View<'_, f32>,
        y: PooledMut<'_, Self>,
    );

    /// Gradient of the convolution's input from the gradient of the pooled output. Overwrites `d_x`.
    fn conv2d_max_pool2d_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: Self::View<'_, f32>,
        d_y: Pooled<'_, Self>,
        d_x: Self::ViewMut<'_, f32>,
    );

    /// Gradients of weight and bias from the gradient of the pooled output. Overwrites both.
    /// Padding samples of `d_y` must be zero.
    fn conv2d_max_pool2d_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: Self::View<'_, f32>,
        d_y: Pooled<'_, Self>,
        d_weight: Self::ViewMut<'_, f32>,
        d_bias: Self::ViewMut<'_, f32>,
    );
}

#[track_caller]
fn check(size: &Conv2dSize) {
    size.check();
    let plain = size.stride == 1 && size.dilation == 1 && size.groups == 1;
    assert!(plain, "a convolution with pooling has stride, dilation and groups 1: {size:?}");
}

/// Rows of windows, of a convolution whose stride and dilation are known to be 1.
fn pooled_height(size: &Conv2dSize) -> usize {
    (size.height + 2 * size.padding + 1 - size.kernel) / 2
}

/// Columns of windows.
fn pooled_width(size: &Conv2dSize) -> usize {
    (size.width + 2 * size.padding + 1 - size.kernel) / 2
}

/// Values a sample after the pooling.
fn pooled_features(size: &Conv2dSize) -> usize {
    size.out_channels * pooled_height(size) * pooled_width(size)
}
