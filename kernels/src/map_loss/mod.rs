//! LeNet-5's maximum a posteriori loss (LeCun, Bottou, Bengio & Haffner 1998, equation 9) on outputs where smaller is
//! better: `l[n] = x[n,D] + ln(e^−j + Σ_{k≠D} e^−x[n,k])` with D the label.
//!
//! The constant j > 0 bounds how far wrong outputs are pushed up: those far above j have next to no gradient.
//! The paper does not say which j it used.
//!
//! All losses over classes share their tests: `cross_entropy/tests.rs` and `cross_entropy/selftest.rs`.

mod cpu;
mod cuda;

use crate::cross_entropy::ClassesSize;
use crate::device::{LossOutput, Memory};

/// Sizes and the constant of a maximum a posteriori loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapLossSize {
    /// Samples and classes.
    pub classes: ClassesSize,
    /// j.
    pub rubbish: f32,
}

/// Contract of the maximum a posteriori loss.
///
/// # Panics
/// If a buffer's length differs from its shape, or, on the CPU, a label names no class: see
/// [`crate::cross_entropy::CrossEntropy`].
pub trait MapLoss: Memory {
    /// `x` (N, K) outputs such as [`crate::radial_basis`] yields, `labels` (N) each below K. Overwrites `d_x` with the
    /// gradient of the *sum* of losses: 1 at the label, `−e^−x[n,k] / (e^−j + Σ_{i≠D} e^−x[n,i])` elsewhere, zero for
    /// padding samples. Correct is whose *smallest* output (first on a tie) is the label's.
    fn map_loss(
        &mut self,
        size: &MapLossSize,
        x: Self::View<'_, f32>,
        labels: Self::View<'_, u16>,
        output: LossOutput<'_, Self>,
    );
}
