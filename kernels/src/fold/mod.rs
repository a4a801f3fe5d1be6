//! What the tree reduction needs of a device: element-wise sums and squared norms over fixed blocks.

mod cpu;
mod cuda;

use std::ops::Range;

use crate::device::Memory;

/// Elements in a fixed block. Norms are sums over blocks, and slices of the parameter vector are cut at block
/// boundaries; blocks start anew at each tensor.
pub const BLOCK: usize = 4096;

/// Contract of the folds.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Fold: Memory {
    /// Parts of a vector as the device goes through them.
    type Parts: Send;

    /// `sum += value`, element-wise, one f32 rounding each: an inner node of the tree, `sum` being the left child.
    fn fold_add(&mut self, sum: Self::ViewMut<'_, f32>, value: Self::View<'_, f32>);

    /// Parts of a vector, for [`Fold::squared_norms`]: any ranges. Made once for all vectors that are cut alike.
    fn parts(&mut self, ranges: &[Range<usize>]) -> Self::Parts;

    /// `Σ x²` in f64 of each part of `x`, to `norms` (one a part). Each block of [`BLOCK`] elements of a part (its last
    /// may be short) is summed in a fixed order, and the blocks' sums are added in order; so what one part, or parts of
    /// a block each, give when they are added is the same.
    ///
    /// # Panics
    /// If a part reaches beyond `x`.
    fn squared_norms(&mut self, parts: &Self::Parts, x: Self::View<'_, f32>, norms: Self::ViewMut<'_, f64>);
}
