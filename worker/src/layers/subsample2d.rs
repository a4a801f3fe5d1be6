//! LeNet-5's trainable sub-sampling.

use lockstep_kernels::activation::{Activation, ActivationSize};
use lockstep_kernels::device::Device;
use lockstep_kernels::subsample2d::Subsample2dSize;

use super::{Backward, Forward, Keeps, Layer, Role, TensorShape};

/// `y = f(weight[c] · (sum of each 2×2 window) + bias[c])`; parameters: weight (C), bias (C).
pub struct Subsample2d {
    /// Name in the model.
    pub name: String,
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: Subsample2dSize,
    /// f.
    pub activation: Activation,
}

impl Subsample2d {
    fn size(&self, samples: usize) -> Subsample2dSize {
        Subsample2dSize { samples, ..self.size }
    }

    fn behind(&self, samples: usize) -> ActivationSize {
        let features = self.size.channels * self.size.out_height() * self.size.out_width();
        ActivationSize { samples, features }
    }
}

impl<D: Device> Layer<D> for Subsample2d {
    fn parameters(&self) -> Vec<TensorShape> {
        let tensor = |kind, role| TensorShape::new(&self.name, kind, vec![self.size.channels], role);
        vec![
            tensor("weight", Role::Weight { fan_in: 4, fan_out: 1, plane: true }),
            tensor("bias", Role::Bias { fan_in: 4, plane: true }),
        ]
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: true }
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let (samples, channels) = (pass.batch.samples, self.size.channels);
        let behind = self.behind(samples);
        let len = device.activation_len(samples, behind.features);
        let weight = D::slice(pass.own.parameters, 0..channels);
        let bias = D::slice(pass.own.parameters, channels..2 * channels);
        let y = D::slice_mut(&mut pass.y, 0..len);
        device.subsample2d_forward(&self.size(samples), pass.inputs.x(), weight, bias, y);
        device.activation_forward(&behind, self.activation, pass.y);
    }

    fn backward(&self, device: &mut D, mut pass: Backward<'_, D>) {
        let (samples, channels) = (pass.batch.samples, self.size.channels);
        let (size, behind) = (self.size(samples), self.behind(samples));
        let len = device.activation_len(samples, behind.features);
        if let Some(y) = pass.y {
            device.activation_backward(&behind, self.activation, y, D::slice_mut(&mut pass.d_y, 0..len));
        }
        let d_y = D::shared(pass.d_y);
        if let [Some(gradient), ..] = pass.d_x {
            let weight = D::slice(pass.own.parameters, 0..channels);
            device.subsample2d_backward_input(&size, weight, d_y, gradient.d_x);
        }
        let (d_weight, d_bias) = D::split_mut(pass.d_parameters, channels);
        device.subsample2d_backward_weight(&size, pass.inputs.x(), d_y, d_weight, d_bias);
    }
}
