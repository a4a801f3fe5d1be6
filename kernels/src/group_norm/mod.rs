//! Group normalisation (Wu & He 2018): `y = weight[c] · x̂ + bias[c]` with
//! `x̂ = (x − mean[n,g]) / √(variance[n,g] + ε)`.
//!
//! Mean and biased variance are over the C/G · H·W values of a group of channels of one sample. One group is layer
//! normalisation over (C, H, W) with one weight and bias a channel; as many groups as channels is instance
//! normalisation.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Sizes and constants of a group normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels, C.
    pub channels: usize,
    /// Groups of neighbouring channels, G; divides C.
    pub groups: usize,
    /// Values of a channel of one sample, H · W.
    pub plane: usize,
    /// ε, added to the variance.
    pub epsilon: f32,
}

impl GroupNormSize {
    /// Values a sample of the moments: 2 · G.
    pub fn moments_features(&self) -> usize {
        2 * self.groups
    }

    #[track_caller]
    fn check(&self) {
        let GroupNormSize { channels, groups, .. } = *self;
        assert!(groups > 0 && channels.is_multiple_of(groups), "{groups} groups do not divide {channels} channels");
    }
}

/// What a forward pass overwrites.
pub struct GroupNormOutput<'a, M: Memory> {
    /// (N, C, H, W) activation; padding samples become 0.
    pub y: M::ViewMut<'a, f32>,
    /// (N, 2, G) activation: means, then `1 / √(variance + ε)`. For the backward pass.
    pub moments: M::ViewMut<'a, f32>,
}

/// What the forward pass read and left for the backward pass.
pub struct GroupNormSaved<'a, M: Memory> {
    /// (N, C, H, W) activation.
    pub x: M::View<'a, f32>,
    /// (C) γ.
    pub weight: M::View<'a, f32>,
    /// (N, 2, G) of the forward pass.
    pub moments: M::View<'a, f32>,
}

/// The gradients of a backward pass.
pub struct GroupNormGradients<'a, M: Memory> {
    /// (N, C, H, W). Padding samples must be zero.
    pub d_y: M::View<'a, f32>,
    /// (N, C, H, W), overwritten; zero for padding samples.
    pub d_x: M::ViewMut<'a, f32>,
    /// (C), overwritten.
    pub d_weight: M::ViewMut<'a, f32>,
    /// (C), overwritten.
    pub d_bias: M::ViewMut<'a, f32>,
}

/// Contract of the group normalisation.
///
/// # Panics
/// If a buffer's length differs from its shape, or the groups don't divide the channels.
pub trait GroupNorm: Memory {
    /// `x` (N, C, H, W) activation, `weight` (C) γ, `bias` (C) β.
    fn group_norm_forward(
        &mut self,
        size: &GroupNormSize,
        x: Self::View<'_, f32>,
        weight: Self::View<'_, f32>,
        bias: Self::View<'_, f32>,
        output: GroupNormOutput<'_, Self>,
    );

    /// `d_bias = Σ d_y`, `d_weight = Σ d_y · x̂` over samples and plane; with `d = weight · d_y` and means over a
    /// sample's group, `d_x = (d − mean(d) − x̂ · mean(d · x̂)) / √(variance + ε)`.
    fn group_norm_backward(
        &mut self,
        size: &GroupNormSize,
        saved: GroupNormSaved<'_, Self>,
        gradients: GroupNormGradients<'_, Self>,
    );
}
