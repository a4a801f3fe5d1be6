//! 2-D pooling: the largest or the mean value of each window, and the mean over a grid of cells.

pub(crate) mod cpu;
mod cuda;

use std::ops::Range;

use crate::device::Memory;

/// Sizes of a pooling with a square window. Window `(i, j)` begins at row `i·s − p`, column `j·s − p`.
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
    /// Window height and width, K. From 1 to 16.
    pub window: usize,
    /// Rows and columns from one window to the next, s ≥ 1. Windows overlap where it is below K.
    pub stride: usize,
    /// Rows and columns around the input, p ≤ K / 2: −∞ to the maximum, 0 to the mean.
    pub padding: usize,
}

impl Pool2dSize {
    /// H′ = ⌊(H + 2p − K) / s⌋ + 1; 0 where the window does not fit.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding).checked_sub(self.window).map_or(0, |rest| rest / self.stride + 1)
    }
    /// W′ = ⌊(W + 2p − K) / s⌋ + 1; 0 where the window does not fit.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding).checked_sub(self.window).map_or(0, |rest| rest / self.stride + 1)
    }

    fn in_features(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn out_features(&self) -> usize {
        self.channels * self.out_height() * self.out_width()
    }

    #[track_caller]
    fn check(&self) {
        let Pool2dSize { window, stride, padding, .. } = *self;
        assert!((1..=16).contains(&window), "window {window} is not between 1 and 16");
        assert!(stride > 0, "the stride is 0");
        assert!(2 * padding <= window, "padding {padding} is more than half of the window's {window}");
    }
}

/// Sizes of an average pooling over a grid of H′ × W′ cells, as PyTorch's `AdaptiveAvgPool2d`: cell i of H′ has the rows
/// from ⌊i · H / H′⌋ to ⌈(i + 1) · H / H′⌉. A grid of 1 × 1 is the mean of the plane; cells overlap where the grid does
/// not divide the plane, and repeat places where it is finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptivePool2dSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels, C.
    pub channels: usize,
    /// Input height, H.
    pub height: usize,
    /// Input width, W.
    pub width: usize,
    /// Cells in a column, H′ ≥ 1.
    pub out_height: usize,
    /// Cells in a row, W′ ≥ 1.
    pub out_width: usize,
}

impl AdaptivePool2dSize {
    /// Rows and columns of a cell, counted row by row.
    pub(crate) fn cell(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let part = |index: usize, all: usize, parts: usize| index * all / parts..((index + 1) * all).div_ceil(parts);
        let (i, j) = (index / self.out_width, index % self.out_width);
        (part(i, self.height, self.out_height), part(j, self.width, self.out_width))
    }

    fn in_features(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn out_features(&self) -> usize {
        self.channels * self.out_height * self.out_width
    }

    #[track_caller]
    fn check(&self) {
        let AdaptivePool2dSize { height, width, out_height, out_width, .. } = *self;
        let empty = [height, width, out_height, out_width].contains(&0);
        assert!(!empty, "{out_height}×{out_width} cells of {height}×{width} places");
    }
}

/// Contract of the poolings.
///
/// # Panics
/// If a buffer's length differs from its shape, or a size is outside its range.
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

    /// `d_y` is added to the chosen place, window after window, row by row; places that no window chose get zero.
    /// Overwrites `d_x`.
    fn max_pool2d_backward(
        &mut self,
        size: &Pool2dSize,
        d_y: Self::View<'_, f32>,
        choice: Self::View<'_, u8>,
        d_x: Self::ViewMut<'_, f32>,
    );

    /// `y` = the sum of each window / K², padding included (PyTorch's `count_include_pad`).
    fn average_pool2d_forward(&mut self, size: &Pool2dSize, x: Self::View<'_, f32>, y: Self::ViewMut<'_, f32>);

    /// Every place gets the sum of `d_y` over the windows that it lies in, row by row, divided by K²; places outside
    /// all windows get zero. Overwrites `d_x`.
    fn average_pool2d_backward(&mut self, size: &Pool2dSize, d_y: Self::View<'_, f32>, d_x: Self::ViewMut<'_, f32>);

    /// `y` = the mean of each cell.
    fn adaptive_average_pool2d_forward(
        &mut self,
        size: &AdaptivePool2dSize,
        x: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `d_y` over the count of a cell's places is added to each of them, cell after cell. Overwrites `d_x`.
    fn adaptive_average_pool2d_backward(
        &mut self,
        size: &AdaptivePool2dSize,
        d_y: Self::View<'_, f32>,
        d_x: Self::ViewMut<'_, f32>,
    );
}
