//! Softmax cross-entropy with integer labels: `l[n] = log Σ_k e^{x[n,k]} − x[n,label]`.

pub(crate) mod cpu;

use crate::device::{LossSums, Memory};

/// Sizes of a loss over classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassesSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Classes, K.
    pub classes: usize,
}

/// Contract of softmax cross-entropy.
///
/// # Panics
/// If a buffer's length differs from its shape, or a label names no class.
pub trait CrossEntropy: Memory {
    /// `x` (N, K) logits, `labels` (N) each below K. Overwrites `d_x` with the gradient of the *sum* of losses:
    /// `softmax(x)[n,k] − 1[k = label]`, zero for padding samples. The divisor is applied once, after the reduction.
    fn cross_entropy(
        &mut self,
        size: &ClassesSize,
        x: Self::View<'_, f32>,
        labels: &[u8],
        d_x: Self::ViewMut<'_, f32>,
    ) -> LossSums;
}
