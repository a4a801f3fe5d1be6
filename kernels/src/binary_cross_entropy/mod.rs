//! Binary cross-entropy of each output's sigmoid against one-hot targets t, the mean over classes:
//! `l[n] = 1/K · Σ_k (ln(1 + e^x[n,k]) − t[n,k] · x[n,k])`
//! (PyTorch's `BCEWithLogitsLoss` once divided by the count of samples).
//!
//! All losses over classes share their tests: `cross_entropy/tests.rs` and `cross_entropy/selftest.rs`.

mod cpu;
mod cuda;

use crate::cross_entropy::ClassesSize;
use crate::device::{LossOutput, Memory};

/// Contract of the binary cross-entropy.
///
/// # Panics
/// If a buffer's length differs from its shape, or, on the CPU, a label names no class: see
/// [`crate::cross_entropy::CrossEntropy`].
pub trait BinaryCrossEntropy: Memory {
    /// `x` (N, K) logits, `labels` (N) each below K. Overwrites `d_x` with the gradient of the *sum* of losses:
    /// `(sigmoid(x) − target) / K`, zero for padding samples.
    fn binary_cross_entropy(
        &mut self,
        size: &ClassesSize,
        x: Self::View<'_, f32>,
        labels: Self::View<'_, u16>,
        output: LossOutput<'_, Self>,
    );
}
