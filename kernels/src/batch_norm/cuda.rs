//! Batch normalisation on a GPU: sums of channels, what follows from them, then values, a kernel each.

use super::{BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize};
use crate::cuda::columns::Columns;
use crate::cuda::launch::Grid;
use crate::cuda::scratch::Part;
use crate::cuda::{Cuda, View, ViewMut, assert_len};

/// Blocks that add up: as many as a GPU of today holds at once.
const SUM_BLOCKS: usize = 1 << 10;
/// Blocks of values: as many as keep the last of them short.
const VALUE_BLOCKS: usize = 1 << 13;

impl BatchNormSize {
    fn columns(&self, most_blocks: usize) -> Columns {
        Columns::new(1, self.samples * self.plane, self.channels, most_blocks)
    }

    #[track_caller]
    fn check_activation(&self, device: &Cuda, name: &str, len: usize) {
        device.assert_activation(name, len, self.samples, self.channels * self.plane);
    }

    #[track_caller]
    fn check_input(&self, device: &Cuda, input: &BatchNormInput<'_, Cuda>) {
        self.check_activation(device, "x", input.x.len());
        assert_len("weight", input.weight.len(), self.channels);
        assert_len("bias", input.bias.len(), self.channels);
        if let Some(residual) = input.residual {
            self.check_activation(device, "residual", residual.len());
        }
    }
}

impl BatchNorm for Cuda {
    fn batch_norm_forward(
        &mut self,
        size: &BatchNormSize,
        input: BatchNormInput<'_, Cuda>,
        output: BatchNormOutput<'_, Cuda>,
    ) {
        let BatchNormOutput { y, moments, statistics } = output;
        size.check_input(self, &input);
        size.check_activation(self, "y", y.len());
        assert_len("moments", moments.len(), 2 * size.channels);
        assert_len("statistics", statistics.len(), 2 * size.channels);
        let columns = size.columns(SUM_BLOCKS);
        let (partials, factors) = self.scratch(columns.partials() + 3 * size.channels).split(columns.partials());
        self.launch("batch_norm_sums", columns.grid(), &[columns.argument(), input.x.into(), partials.into()]);
        let sizes = [columns.argument(), size.samples.into(), size.epsilon.into()];
        let read = [input.x.into(), partials.into(), input.weight.into(), input.bias.into()];
        let written = [(&moments).into(), (&statistics).into(), factors.into()];
        let arguments = [&sizes[..], &read, &written].concat();
        self.launch("batch_norm_moments", columns.grid_of_totals(), &arguments);
        self.batch_norm_normalise(size, &input, factors, y);
    }

    fn batch_norm_evaluate(
        &mut self,
        size: &BatchNormSize,
        input: BatchNormInput<'_, Cuda>,
        running: View<'_, f32>,
        y: ViewMut<'_, f32>,
    ) {
        size.check_input(self, &input);
        size.check_activation(self, "y", y.len());
        assert_len("running", running.len(), 2 * size.channels);
        let factors = self.scratch(3 * size.channels);
        let sizes = [size.channels.into(), size.epsilon.into()];
        let vectors = [running.into(), input.weight.into(), input.bias.into(), factors.into()];
        self.launch("batch_norm_running", Grid::elements(size.channels), &[&sizes[..], &vectors].concat());
        self.batch_norm_normalise(size, &input, factors, y);
    }

    fn batch_norm_backward(
        &mut self,
        size: &BatchNormSize,
        saved: BatchNormSaved<'_, Cuda>,
        gradients: BatchNormGradients<'_, Cuda>,
    ) {
        let BatchNormSaved { x, y, weight, moments } = saved;
        let BatchNormGradients { d_y, d_x, d_weight, d_bias } = gradients;
        size.check_activation(self, "x", x.len());
        size.check_activation(self, "d_y", d_y.len());
        size.check_activation(self, "d_x", d_x.len());
        assert_len("weight", weight.len(), size.channels);
        assert_len("moments", moments.len(), 2 * size.channels);
        assert_len("d_weight", d_weight.len(), size.channels);
        assert_len("d_bias", d_bias.len(), size.channels);
        let y = size.relu.then_some(y);
        if let Some(y) = y {
            size.check_activation(self, "y", y.len());
        }
        let columns = size.columns(SUM_BLOCKS);
        let (partials, factors) = self.scratch(columns.partials() + 3 * size.channels).split(columns.partials());
        let arguments = [columns.argument(), moments.into(), x.into(), y.into(), (&d_y).into(), partials.into()];
        self.launch("batch_norm_backward_sums", columns.grid(), &arguments);
        let read = [columns.argument(), partials.into(), weight.into(), moments.into()];
        let written = [(&d_weight).into(), (&d_bias).into(), factors.into()];
        let arguments = [&read[..], &written].concat();
        self.launch("batch_norm_backward_parameters", columns.grid_of_totals(), &arguments);
        let columns = size.columns(VALUE_BLOCKS);
        let activations = [x.into(), (&d_y).into(), (&d_x).into()];
        let arguments = [&[columns.argument(), factors.into(), moments.into()][..], &activations].concat();
        self.launch("batch_norm_backward_input", columns.grid(), &arguments);
    }
}

impl Cuda {
    /// `factors` (3, C).
    fn batch_norm_normalise(
        &mut self,
        size: &BatchNormSize,
        input: &BatchNormInput<'_, Cuda>,
        factors: Part,
        y: ViewMut<'_, f32>,
    ) {
        let columns = size.columns(VALUE_BLOCKS);
        let sizes = [columns.argument(), size.relu.into(), factors.into()];
        let activations = [input.x.into(), input.residual.into(), (&y).into()];
        self.launch("batch_norm_normalise", columns.grid(), &[&sizes[..], &activations].concat());
    }
}
