//! 2-D convolution, square kernel: `y = x ⋆ w + b`.

use lockstep_kernels::conv2d::{Accumulation, Conv2dSize};
use lockstep_kernels::device::Device;

use super::{Backward, Forward, Layer, TensorShape};

/// Parameters: weight (O, C / groups, K, K), bias (O). Values before it (N, C, H, W), behind it (N, O, H′, W′).
pub struct Conv2d {
    /// Name in the model.
    pub name: String,
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: Conv2dSize,
}

impl Conv2d {
    pub(super) fn size(&self, samples: usize) -> Conv2dSize {
        Conv2dSize { samples, ..self.size }
    }

    fn fan_in(&self) -> usize {
        self.size.in_channels / self.size.groups * self.size.kernel * self.size.kernel
    }

    /// Elements of the weight.
    pub(super) fn weights(&self) -> usize {
        self.size.out_channels * self.fan_in()
    }

    /// Weight and bias of the layer's parameters.
    pub(super) fn split<'a, D: Device>(&self, parameters: D::View<'a, f32>) -> (D::View<'a, f32>, D::View<'a, f32>) {
        let weights = self.weights();
        (D::slice(parameters, 0..weights), D::slice(parameters, weights..weights + self.size.out_channels))
    }
}

/// Weight and bias of a convolution.
pub(super) fn tensors(conv: &Conv2d) -> Vec<TensorShape> {
    let Conv2dSize { in_channels, out_channels, kernel, groups, .. } = conv.size;
    let tensor =
        |kind: &str, shape| TensorShape { name: format!("{}.{kind}", conv.name), shape, fan_in: conv.fan_in() };
    vec![tensor("weight", vec![out_channels, in_channels / groups, kernel, kernel]), tensor("bias", vec![out_channels])]
}

impl<D: Device> Layer<D> for Conv2d {
    fn out_features(&self) -> usize {
        self.size.out_channels * self.size.out_height() * self.size.out_width()
    }

    fn tensors(&self) -> Vec<TensorShape> {
        tensors(self)
    }

    fn forward(&self, device: &mut D, parameters: D::View<'_, f32>, values: Forward<'_, D>) {
        let (weight, bias) = self.split::<D>(parameters);
        device.conv2d_forward(&self.size(values.samples), values.x, weight, Some(bias), values.y);
    }

    fn backward(
        &self,
        device: &mut D,
        parameters: D::View<'_, f32>,
        d_parameters: D::ViewMut<'_, f32>,
        values: Backward<'_, D>,
    ) {
        let size = self.size(values.samples);
        let d_y = D::shared(values.d_y);
        if let Some(d_x) = values.d_x {
            let (weight, _) = self.split::<D>(parameters);
            device.conv2d_backward_input(&size, weight, d_y, d_x, Accumulation::Overwrite);
        }
        let (d_weight, d_bias) = D::split_mut(d_parameters, self.weights());
        device.conv2d_backward_weight(&size, values.x, d_y, d_weight, Some(d_bias));
    }
}
