//! Softmax cross-entropy with integer labels: `l[n] = log Σ_k e^{x[n,k]} − x[n,label]`, and with smoothed labels
//! (Szegedy et al. 2016): `l[n] = log Σ_k e^{x[n,k]} − (1 − ε) · x[n,label] − ε/K · Σ_k x[n,k]`. Samples that are mixed of two
//! have two labels (Zhang et al. 2018, "mixup: Beyond empirical risk minimization"): λ of the loss with the one, 1 − λ of
//! that with the other.

pub(crate) mod answers;
mod cpu;
mod cuda;
pub(crate) mod groups;
mod warps;

use crate::device::{LossOutput, Memory};

/// Sizes of a loss over classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassesSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Classes, K.
    pub classes: usize,
}

/// Labels of samples that are mixed of two.
pub struct MixedLabels<'a, M: Memory> {
    /// (N), each below K; right answers are counted by these.
    pub labels: M::View<'a, u16>,
    /// (N), each below K.
    pub others: M::View<'a, u16>,
    /// (N), λ in [0, 1]: how much of each sample is of the first label's class.
    pub shares: M::View<'a, f32>,
}

/// Contract of softmax cross-entropy.
///
/// Who loads labels sees to it that each names a class. A GPU can't refuse one that doesn't: it makes the sample's loss
/// and gradient NaN.
///
/// # Panics
/// If a buffer's length differs from its shape, or a smoothing is outside [0, 1]; on the CPU also if a label names no
/// class, or a share is outside [0, 1].
pub trait CrossEntropy: Memory {
    /// `x` (N, K) logits, `labels` (N) each below K. Overwrites `d_x` with the gradient of the *sum* of losses:
    /// `softmax(x)[n,k] − 1[k = label]`, zero for padding samples. The divisor is applied once, after the reduction.
    fn cross_entropy(
        &mut self,
        size: &ClassesSize,
        x: Self::View<'_, f32>,
        labels: Self::View<'_, u16>,
        output: LossOutput<'_, Self>,
    );

    /// With `smoothing` ε in [0, 1]: PyTorch's `label_smoothing`. Overwrites `d_x` with the gradient of the *sum* of
    /// losses: `softmax(x)[n,k] − (1 − ε) · 1[k = label] − ε/K`, zero for padding samples.
    fn smoothed_cross_entropy(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: Self::View<'_, f32>,
        labels: Self::View<'_, u16>,
        output: LossOutput<'_, Self>,
    );

    /// With `smoothing` ε in [0, 1] and two labels each, a and b: `l[n] = log Σ_k e^{x[n,k]} − (1 − ε) · (λ · x[n,a] +
    /// (1 − λ) · x[n,b]) − ε/K · Σ_k x[n,k]`. Overwrites `d_x` with the gradient of the *sum* of losses:
    /// `softmax(x)[n,k] − (1 − ε) · (λ · 1[k = a] + (1 − λ) · 1[k = b]) − ε/K`, zero for padding samples.
    fn mixed_cross_entropy(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: Self::View<'_, f32>,
        labels: MixedLabels<'_, Self>,
        output: LossOutput<'_, Self>,
    );
}
