//! Squared error against one-hot targets, the mean over classes: `l[n] = 1/K · Σ_k (x[n,k] − 1[k = label])²`
//! (PyTorch's `MSELoss` once divided by the count of samples).
//!
//! All losses over classes share their tests: `cross_entropy/tests.rs` and `cross_entropy/selftest.rs`.

mod cpu;
mod cuda;

use crate::cross_entropy::ClassesSize;
use crate::device::{LossOutput, Memory};

/// Contract of the squared error.
///
/// # Panics
/// If a buffer's length differs from its shape, or, on the CPU, a label names no class: see
/// [`crate::cross_entropy::CrossEntropy`].
pub trait SquaredError: Memory {
    /// `x` (N, K) outputs, `labels` (N) each below K. Overwrites `d_x` with the gradient of the *sum* of losses:
    /// `2/K · (x − target)`, zero for padding samples.
    fn squared_error(
        &mut self,
        size: &ClassesSize,
        x: Self::View<'_, f32>,
        labels: Self::View<'_, u16>,
        output: LossOutput<'_, Self>,
    );
}
