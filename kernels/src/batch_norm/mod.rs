//! Batch normalisation (Ioffe & Szegedy 2015), with an optional residual and an optional relu behind it:
//! `y = relu?(weight[c] · x̂ + bias[c] + residual?)` with `x̂ = (x − mean[c]) / √(variance[c] + ε)`.
//!
//! Mean and biased variance of a channel are over the samples of the micro-batch and the plane,
//! n = samples · plane values; padding samples don't count.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Sizes and constants of a batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels, C.
    pub channels: usize,
    /// Values of a channel of one sample, H · W.
    pub plane: usize,
    /// ε, added to the variance.
    pub epsilon: f32,
    /// Whether `max(·, 0)` comes behind it.
    pub relu: bool,
}

/// What a forward pass reads.
pub struct BatchNormInput<'a, M: Memory> {
    /// (N, C, H, W) activation.
    pub x: M::View<'a, f32>,
    /// (C) γ.
    pub weight: M::View<'a, f32>,
    /// (C) β.
    pub bias: M::View<'a, f32>,
    /// (N, C, H, W) activation, added before the relu.
    pub residual: Option<M::View<'a, f32>>,
}

/// What a training forward pass overwrites.
pub struct BatchNormOutput<'a, M: Memory> {
    /// (N, C, H, W) activation; padding samples become 0.
    pub y: M::ViewMut<'a, f32>,
    /// (2, C): the channels' means, then their `1 / √(variance + ε)` with the biased variance. For the backward pass.
    pub moments: M::ViewMut<'a, f32>,
    /// (2, C): N · mean, then N · unbiased variance (the biased one times n / (n − 1)). Summed over lanes and divided
    /// by the count of samples they are what running statistics take in, as in PyTorch. Where n = 1 the variance is 0.
    pub statistics: M::ViewMut<'a, f32>,
}

/// What the forward pass read and left for the backward pass.
pub struct BatchNormSaved<'a, M: Memory> {
    /// (N, C, H, W) activation.
    pub x: M::View<'a, f32>,
    /// The output: read only if `relu`, else any view will do.
    pub y: M::View<'a, f32>,
    /// (C) γ.
    pub weight: M::View<'a, f32>,
    /// (2, C) of the forward pass.
    pub moments: M::View<'a, f32>,
}

/// The gradients of a backward pass.
pub struct BatchNormGradients<'a, M: Memory> {
    /// (N, C, H, W): holds `d_y`; if `relu`, it becomes `d_y · [y > 0]`. In either case it then is the gradient of the
    /// residual. Padding samples must be zero.
    pub d_y: M::ViewMut<'a, f32>,
    /// (N, C, H, W), overwritten; zero for padding samples.
    pub d_x: M::ViewMut<'a, f32>,
    /// (C), overwritten.
    pub d_weight: M::ViewMut<'a, f32>,
    /// (C), overwritten.
    pub d_bias: M::ViewMut<'a, f32>,
}

/// Contract of the batch normalisation.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait BatchNorm: Memory {
    /// Normalises by the micro-batch's own moments.
    fn batch_norm_forward(
        &mut self,
        size: &BatchNormSize,
        input: BatchNormInput<'_, Self>,
        output: BatchNormOutput<'_, Self>,
    );

    /// Normalises by `running` (2, C): means, then variances. Overwrites `y`; padding samples become 0.
    fn batch_norm_evaluate(
        &mut self,
        size: &BatchNormSize,
        input: BatchNormInput<'_, Self>,
        running: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `d_bias = Σ d_y`, `d_weight = Σ d_y · x̂`,
    /// `d_x = weight / √(variance + ε) · (d_y − d_bias / n − x̂ · d_weight / n)`, with `d_y` behind the relu's mask.
    fn batch_norm_backward(
        &mut self,
        size: &BatchNormSize,
        saved: BatchNormSaved<'_, Self>,
        gradients: BatchNormGradients<'_, Self>,
    );
}
