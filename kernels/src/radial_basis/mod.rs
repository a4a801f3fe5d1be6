//! Euclidean radial basis functions, the output layer of LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998):
//! `y[n,o] = Σ_i (x[n,i] − centre[o,i])²`. The centres are fixed; the answer is the smallest output.

mod cpu;
mod cuda;
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

/// What a criterion is at a layer's outputs (N, O).
pub struct OutputDerivatives<'a, M: Memory> {
    /// Its gradient.
    pub first: M::View<'a, f32>,
    /// The diagonal of its second derivatives.
    pub second: M::View<'a, f32>,
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

    /// Second derivatives of a criterion over the outputs with respect to the inputs, given its first and second
    /// derivatives `d_y` and `h_y` with respect to the outputs: `h_x[n,i] = max(0, 2 · Σ_o d_y[n,o] + Σ_o 4 ·
    /// (x[n,i] − centre[o,i])² · h_y[n,o])`.
    ///
    /// The distances belong to the criterion, as the square does to the squared error: the first term is their own
    /// second derivative, which the maximum a posteriori loss makes 2·(1 − Σ of the wrong answers' shares) > 0.
    /// Overwrites `h_x`.
    fn radial_basis_curvature_input(
        &mut self,
        size: &RadialBasisSize,
        x: Self::View<'_, f32>,
        centres: Self::View<'_, f32>,
        derivatives: OutputDerivatives<'_, Self>,
        h_x: Self::ViewMut<'_, f32>,
    );
}
