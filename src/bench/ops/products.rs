//! Convolutions and matrix products.

use lockstep_kernels::conv2d::{Accumulation, Conv2d, Conv2dSize};
use lockstep_kernels::cuda::CudaError;
use lockstep_kernels::linear::{Linear, LinearSize};

use super::{Cost, OpBench, floats};

/// Channels in and out, side of the image, kernel, stride.
const CONVOLUTIONS: [[usize; 5]; 9] = [
    [3, 64, 224, 7, 2],
    [64, 64, 56, 1, 1],
    [64, 64, 56, 3, 1],
    [64, 256, 56, 1, 1],
    [128, 128, 28, 3, 1],
    [256, 256, 14, 3, 1],
    [1024, 256, 14, 1, 1],
    [1024, 2048, 14, 1, 2],
    [512, 512, 7, 3, 1],
];

impl OpBench<'_> {
    /// Those that a library may compute.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn products(&mut self) -> Result<(), CudaError> {
        CONVOLUTIONS.into_iter().try_for_each(|shape| self.convolution(shape))?;
        self.linear(2048, 1000)
    }

    fn convolution(&mut self, [inputs, outputs, side, kernel, stride]: [usize; 5]) -> Result<(), CudaError> {
        let sizes = self.sizes;
        let (in_channels, out_channels) = (sizes.channels(inputs), sizes.channels(outputs));
        let (samples, height, width) = (sizes.samples, sizes.side(side), sizes.side(side));
        let padding = kernel / 2;
        let size = Conv2dSize {
            samples,
            in_channels,
            out_channels,
            height,
            width,
            kernel,
            stride,
            padding,
            ..Conv2dSize::PLAIN
        };
        let (x_len, y_len) =
            (samples * in_channels * height * width, samples * out_channels * size.out_height() * size.out_width());
        let text = format!(
            "{samples}×{in_channels}×{height}×{width} to {out_channels} channels, {kernel}×{kernel}, stride {stride}"
        );
        let cost = Cost {
            bytes: self.values(x_len + y_len) + floats(size.weights()),
            operations: 2 * y_len * in_channels * kernel * kernel,
        };
        let (mut x, mut weight, mut y) = (self.activation(x_len), self.numbers(size.weights()), self.activation(y_len));
        self.measure("conv2d_forward", &text, cost, |gpu| {
            gpu.conv2d_forward(&size, x.view(), weight.view(), None, y.view_mut());
        })?;
        self.measure("conv2d_backward_input", &text, cost, |gpu| {
            gpu.conv2d_backward_input(&size, weight.view(), y.view(), x.view_mut(), Accumulation::Overwrite);
        })?;
        self.measure("conv2d_backward_weight", &text, cost, |gpu| {
            gpu.conv2d_backward_weight(&size, x.view(), y.view(), weight.view_mut(), None);
        })
    }

    fn linear(&mut self, inputs: usize, outputs: usize) -> Result<(), CudaError> {
        let sizes = self.sizes;
        let (samples, inputs, outputs) = (sizes.samples, sizes.channels(inputs), sizes.channels(outputs));
        let size = LinearSize { samples, inputs, plane: 1, outputs };
        let text = format!("{samples}×{inputs} to {outputs} features");
        let cost = Cost {
            bytes: self.values(samples * (inputs + outputs)) + floats(inputs * outputs + outputs),
            operations: 2 * samples * inputs * outputs,
        };
        let (mut x, mut weight) = (self.activation(samples * inputs), self.numbers(inputs * outputs));
        let (mut bias, mut y) = (self.numbers(outputs), self.activation(samples * outputs));
        self.measure("linear_forward", &text, cost, |gpu| {
            gpu.linear_forward(&size, x.view(), weight.view(), bias.view(), y.view_mut());
        })?;
        self.measure("linear_backward_input", &text, cost, |gpu| {
            gpu.linear_backward_input(&size, weight.view(), y.view(), x.view_mut());
        })?;
        self.measure("linear_backward_weight", &text, cost, |gpu| {
            gpu.linear_backward_weight(&size, x.view(), y.view(), weight.view_mut(), bias.view_mut());
        })
    }
}
