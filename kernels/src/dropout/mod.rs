//! Dropout (Srivastava et al. 2014) with inverted scaling: `y[n,f] = x[n,f] · mask[n,f] / (1 − p)`.
//!
//! No mask is stored. It is a pure function of the sample's key and the feature's index, so that it does not depend on
//! where the sample lies in a batch, and the backward pass computes it again. Feature f takes word `f mod 4` of block
//! `⌊f / 4⌋` of Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011) under that key, and is dropped where the word is below
//! `p · 2³²`.

mod cpu;
mod cuda;

use crate::device::{Memory, assert_len};

/// Sizes and constants of a dropout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Values a sample.
    pub features: usize,
    /// Those of one channel, H · W; 1 where there is no plane. Features are counted channel by channel.
    pub plane: usize,
    /// Chance p of a value to be dropped, 0 ≤ p < 1.
    pub probability: f32,
}

impl DropoutSize {
    #[track_caller]
    fn check(&self, keys: usize) {
        assert!((0.0..1.0).contains(&self.probability), "probability {} is not in [0, 1)", self.probability);
        assert_len("keys", keys, self.samples);
    }
}

/// Contract of the dropout.
///
/// # Panics
/// If a buffer's length differs from its shape, there is not one key a sample, or p is outside [0, 1).
pub trait Dropout: Memory {
    /// `x`, `y` activations; `keys` (N): give every sample of every layer and step a key of its own.
    /// Padding samples of `y` become 0.
    fn dropout_forward(
        &mut self,
        size: &DropoutSize,
        keys: Self::View<'_, u64>,
        x: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `d` holds `d_y` and becomes `d_x = d_y · mask / (1 − p)`, with the forward pass' keys.
    fn dropout_backward(&mut self, size: &DropoutSize, keys: Self::View<'_, u64>, d: Self::ViewMut<'_, f32>);
}
