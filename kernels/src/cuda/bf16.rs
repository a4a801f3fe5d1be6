//! Vectors of f32 in half of their bytes, rounded to nearest, ties to even: on their way between GPUs, and as tensor cores
//! take them.

use super::Cuda;
use super::launch::{Argument, Grid};
use crate::device::Precision;

/// Words of 32 bits that so many bf16 take.
pub(crate) fn words(len: usize) -> usize {
    Precision::Bf16.words(len)
}

impl Cuda {
    /// `from` (`len`) to `to` (as many bf16, whole words).
    pub(crate) fn narrow(&mut self, from: Argument, to: Argument, len: usize) {
        self.launch("bf16_narrow", Grid::elements(2 * words(len)), &[from, to, len.into()]);
    }

    /// The way back, exact.
    pub(crate) fn widen(&mut self, from: Argument, to: Argument, len: usize) {
        self.launch("bf16_widen", Grid::elements(len), &[from, to, len.into()]);
    }
}
