//! The linear layer on a GPU.

use super::{Linear, LinearSize};
use crate::cuda::launch::{Argument, Grid};
use crate::cuda::{Cuda, View, ViewMut, assert_len, channels};

/// Side of a tile of a matrix product.
const TILE: usize = 64;

impl LinearSize {
    /// As the kernels take it.
    pub(super) fn argument(&self) -> Argument {
        [self.samples, self.inputs, self.plane, self.outputs].into()
    }

    #[track_caller]
    fn check(&self, device: &Cuda, inputs: (&str, usize), outputs: (&str, usize), (weight, len): (&str, usize)) {
        channels(self.inputs, self.plane);
        device.assert_activation(inputs.0, inputs.1, self.samples, self.inputs);
        device.assert_activation(outputs.0, outputs.1, self.samples, self.outputs);
        assert_len(weight, len, self.outputs * self.inputs);
    }
}

/// Blocks for all tiles of a matrix.
fn tiles(rows: usize, columns: usize) -> Grid {
    Grid::blocks([columns.div_ceil(TILE), rows.div_ceil(TILE), 1])
}

impl Linear for Cuda {
    fn linear_forward(
        &mut self,
        size: &LinearSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: View<'_, f32>,
        y: ViewMut<'_, f32>,
    ) {
        size.check(self, ("x", x.len()), ("y", y.len()), ("weight", weight.len()));
        assert_len("bias", bias.len(), size.outputs);
        if self.multiplies(size) {
            return self.blas_forward(size, x, weight, bias, y);
        }
        let arguments = [size.argument(), x.into(), weight.into(), bias.into(), (&y).into()];
        self.launch("linear_forward", tiles(size.samples, size.outputs), &arguments);
    }

    fn linear_backward_input(
        &mut self,
        size: &LinearSize,
        weight: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
    ) {
        size.check(self, ("d_x", d_x.len()), ("d_y", d_y.len()), ("weight", weight.len()));
        if self.multiplies(size) {
            return self.blas_backward_input(size, weight, d_y, d_x);
        }
        let arguments = [size.argument(), weight.into(), d_y.into(), (&d_x).into()];
        self.launch("linear_backward_input", tiles(size.samples, size.inputs), &arguments);
    }

    fn linear_backward_weight(
        &mut self,
        size: &LinearSize,
        x: View<'_, f32>,
        d_y: View<'_, f32>,
        d_weight: ViewMut<'_, f32>,
        d_bias: ViewMut<'_, f32>,
    ) {
        size.check(self, ("x", x.len()), ("d_y", d_y.len()), ("d_weight", d_weight.len()));
        assert_len("d_bias", d_bias.len(), size.outputs);
        if self.multiplies(size) {
            self.blas_backward_weight(size, x, d_y, d_weight);
        } else {
            let arguments = [size.argument(), x.into(), d_y.into(), (&d_weight).into()];
            self.launch("linear_backward_weight", tiles(size.outputs, size.inputs), &arguments);
        }
        let arguments = [size.argument(), d_y.into(), (&d_bias).into()];
        self.launch("linear_backward_bias", Grid::elements(size.outputs), &arguments);
    }
}
