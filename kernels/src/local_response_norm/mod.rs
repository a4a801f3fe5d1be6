//! Local response normalisation (Krizhevsky et al. 2012), as PyTorch's `LocalResponseNorm`:
//! `y[c] = x[c] · D[c]^−β` with `D[c] = k + α/s · Σ x[j]²`, j from `c − ⌊s/2⌋` to `c + ⌊(s−1)/2⌋` where there are such
//! channels.
//!
//! The paper's α is not divided by the size s: its α of 1e-4 with s = 5 is 5e-4 here.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Sizes and constants of a local response normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNormSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels, C.
    pub channels: usize,
    /// Values of a channel of one sample, H · W.
    pub plane: usize,
    /// Neighbouring channels that are summed over, s ≥ 1.
    pub size: usize,
    /// α ≥ 0.
    pub alpha: f32,
    /// β.
    pub beta: f32,
    /// k > 0.
    pub k: f32,
}

impl LocalResponseNormSize {
    fn features(&self) -> usize {
        self.channels * self.plane
    }

    #[track_caller]
    fn check(&self) {
        let LocalResponseNormSize { size, alpha, k, .. } = *self;
        assert!(size > 0 && alpha >= 0.0 && k > 0.0, "size {size}, alpha {alpha} or k {k} is outside its range");
    }
}

/// Contract of the local response normalisation.
///
/// # Panics
/// If a buffer's length differs from its shape, or a constant is outside its range.
pub trait LocalResponseNorm: Memory {
    /// `x`, `y` (N, C, H, W) activations.
    fn local_response_norm_forward(
        &mut self,
        size: &LocalResponseNormSize,
        x: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `d_x[j] = d_y[j] · D[j]^−β − 2αβ/s · x[j] · Σ d_y[c] · x[c] · D[c]^(−β−1)` over the channels c that j counts
    /// for. Overwrites `d_x`.
    fn local_response_norm_backward(
        &mut self,
        size: &LocalResponseNormSize,
        x: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_x: Self::ViewMut<'_, f32>,
    );
}
