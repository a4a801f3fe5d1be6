//! Euclidean radial basis functions, the output layer of LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998):
//! `y[n,o] = Σ_i (x[n,i] − centre[o,i])²`. The centres are fixed; the answer is the smallest output.

mod cpu;
pub mod digits;

use crate::device::Memory;

/// Sizes of a layer of radial basis functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RadialBasisSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Features in, I.
    pub inputs: usize,
    /// Centres, O.
    pub outputs: usize,
}

/// Contract of the radial basis functions.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait RadialBasis: Memory {
    /// `x` (N, I), `y` (N, O) activations, `centres` (O, I).
    fn radial_basis_forward(
        &mut self,
        size: &RadialBasisSize,
        x: Self::View<'_, f32>,
        centres: Self::View<'_, f32>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `d_x[n,i] = Σ_o 2 · (x[n,i] − centre[o,i]) · d_y[n,o]`. Overwrites `d_x`.
    fn radial_basis_backward_input(
        &mut self,
        size: &RadialBasisSize,
        x: Self::View<'_, f32>,
        centres: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_x: Self::ViewMut<'_, f32>,
    );
}
