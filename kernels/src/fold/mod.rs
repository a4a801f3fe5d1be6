//! What the tree reduction needs of a device: element-wise sums and squared norms over fixed blocks.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Elements in a fixed block. Norms are sums over blocks, and slices of the parameter vector are cut at block
/// boundaries; blocks start anew at each tensor.
pub const BLOCK: usize = 4096;

/// Contract of the folds.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Fold: Memory {
    /// `sum += value`, element-wise, one f32 rounding each: an inner node of the tree, `sum` being the left child.
    fn fold_add(&mut self, sum: Self::ViewMut<'_, f32>, value: Self::View<'_, f32>);

    /// `Σ x²` in f64: each block of [`BLOCK`] elements (the last may be short) is summed in a fixed order,
    /// the blocks' sums are added in order. Call it once a tensor.
    fn squared_norm(&mut self, x: Self::View<'_, f32>) -> f64;

    /// `Σ x²` of each block, to `sums` (⌈len/BLOCK⌉ of them) in host memory: what [`Fold::squared_norm`] adds. `x`: a
    /// tensor from a block's first element on, so that who sums which blocks does not show in the sums.
    fn squared_block_norms(&mut self, x: Self::View<'_, f32>, sums: &mut [f64]);
}
