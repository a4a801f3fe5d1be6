//! 2-D pooling with a square window moved by its own width (no overlap, no padding; a rest is left out).

pub(crate) mod cpu;

use crate::device::Memory;

/// Sizes of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2dSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels, C.
    pub channels: usize,
    /// Input height, H.
    pub height: usize,
    /// Input width, W.
    pub width: usize,
    /// Window height, width and stride, K. At most 16.
    pub window: usize,
}

impl Pool2dSize {
    /// H′ = ⌊H / K⌋.
    pub fn out_height(&self) -> usize {
        self.height / self.window
    }
    /// W′ = ⌊W / K⌋.
    pub fn out_width(&self) -> usize {
        self.width / self.window
    }
}

/// Contract of the poolings.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Pool2d: Memory {
    /// `y` = the largest value of each window, `choice` (as long as `y`) = its place in the window, row by row;
    /// the first of equal values wins, a NaN wins over numbers.
    fn max_pool2d_forward(
        &mut self,
        size: &Pool2dSize,
        x: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
        choice: Self::ViewMut<'_, u8>,
    );

    /// `d_y` goes to the chosen place, zero to all others. Overwrites `d_x`.
    fn max_pool2d_backward(
        &mut self,
        size: &Pool2dSize,
        d_y: Self::View<'_, f32>,
        choice: Self::View<'_, u8>,
        d_x: Self::ViewMut<'_, f32>,
    );

    /// `y` = the mean of each window.
    fn average_pool2d_forward(&mut self, size: &Pool2dSize, x: Self::View<'_, f32>, y: Self::ViewMut<'_, f32>);

    /// Every place of a window gets `d_y / K²`, places outside all windows zero. Overwrites `d_x`.
    fn average_pool2d_backward(&mut self, size: &Pool2dSize, d_y: Self::View<'_, f32>, d_x: Self::ViewMut<'_, f32>);
}
