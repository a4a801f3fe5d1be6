//! Element-wise sums: residual connections, and gradients of a value that several layers read.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Contract of the sums. All buffers of a call are activations, equally long.
///
/// # Panics
/// If they are not.
pub trait Addition: Memory {
    /// `y = a + b`. Overwrites `y`.
    fn add(&mut self, a: Self::View<'_, f32>, b: Self::View<'_, f32>, y: Self::ViewMut<'_, f32>);

    /// `sum += value`.
    fn accumulate(&mut self, sum: Self::ViewMut<'_, f32>, value: Self::View<'_, f32>);
}
