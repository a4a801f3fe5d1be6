//! Concatenation along channels, one part at a time: part p's features are a run of the whole's.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Where a part lies in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConcatenateSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Values a sample of the whole, F.
    pub features: usize,
    /// First value of the part in the whole: the parts before it, channels · height · width each.
    pub first: usize,
    /// Values a sample of the part, P; `first + P ≤ F`.
    pub part: usize,
    /// Values of one channel of one sample, H · W; divides the other sizes.
    pub plane: usize,
}

impl ConcatenateSize {
    #[track_caller]
    fn check(&self) {
        let ConcatenateSize { features, first, part, .. } = *self;
        assert!(first + part <= features, "a part of {part} values from {first} on reaches beyond {features}");
    }
}

/// Contract of the concatenation. Call it once a part.
///
/// # Panics
/// If a buffer's length differs from its shape, or the part reaches beyond the whole.
pub trait Concatenate: Memory {
    /// Copies the part `x` (N, P) into the whole `y` (N, F), whose other values stay.
    fn concatenate_forward(&mut self, size: &ConcatenateSize, x: Self::View<'_, f32>, y: Self::ViewMut<'_, f32>);

    /// Copies the part's share of `d_y` (N, F) to `d_x` (N, P). Overwrites `d_x`.
    fn concatenate_backward(&mut self, size: &ConcatenateSize, d_y: Self::View<'_, f32>, d_x: Self::ViewMut<'_, f32>);
}
