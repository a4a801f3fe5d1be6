//! Radial basis functions on a GPU.

use super::{OutputDerivatives, RadialBasis, RadialBasisSize};
use crate::cuda::launch::{Argument, Grid, WARP};
use crate::cuda::{Cuda, View, ViewMut, assert_len};

impl RadialBasisSize {
    /// As the kernels take it.
    fn argument(&self) -> Argument {
        [self.inputs, self.outputs].into()
    }

    #[track_caller]
    fn check(&self, device: &Cuda, x: &View<'_, f32>, centres: &View<'_, f32>) {
        device.assert_activation("x", x.len(), self.samples, self.inputs);
        assert_len("centres", centres.len(), self.outputs * self.inputs);
    }
}

impl RadialBasis for Cuda {
    fn radial_basis_forward(
        &mut self,
        size: &RadialBasisSize,
        x: View<'_, f32>,
        centres: View<'_, f32>,
        y: ViewMut<'_, f32>,
    ) {
        size.check(self, &x, &centres);
        self.assert_activation("y", y.len(), size.samples, size.outputs);
        let len = size.samples * size.outputs;
        let arguments = [size.argument(), x.into(), centres.into(), (&y).into(), len.into()];
        self.launch("radial_basis_forward", Grid::elements(len * WARP), &arguments);
    }

    fn radial_basis_backward_input(
        &mut self,
        size: &RadialBasisSize,
        x: View<'_, f32>,
        centres: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
    ) {
        size.check(self, &x, &centres);
        self.assert_activation("d_y", d_y.len(), size.samples, size.outputs);
        self.assert_activation("d_x", d_x.len(), size.samples, size.inputs);
        let len = size.samples * size.inputs;
        let arguments = [size.argument(), x.into(), centres.into(), d_y.into(), (&d_x).into(), len.into()];
        self.launch("radial_basis_backward_input", Grid::elements(len), &arguments);
    }

    fn radial_basis_curvature_input(
        &mut self,
        size: &RadialBasisSize,
        x: View<'_, f32>,
        centres: View<'_, f32>,
        derivatives: OutputDerivatives<'_, Cuda>,
        h_x: ViewMut<'_, f32>,
    ) {
        let OutputDerivatives { first: d_y, second: h_y } = derivatives;
        size.check(self, &x, &centres);
        self.assert_activation("d_y", d_y.len(), size.samples, size.outputs);
        self.assert_activation("h_y", h_y.len(), size.samples, size.outputs);
        self.assert_activation("h_x", h_x.len(), size.samples, size.inputs);
        let len = size.samples * size.inputs;
        let arguments = [size.argument(), x.into(), centres.into(), d_y.into(), h_y.into(), (&h_x).into(), len.into()];
        self.launch("radial_basis_curvature_input", Grid::elements(len), &arguments);
    }
}
