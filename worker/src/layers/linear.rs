//! Fully connected layer with an optional activation: `y = f(x · wᵀ + b)`.

use lockstep_kernels::activation::{Activation, ActivationSize};
use lockstep_kernels::device::Device;
use lockstep_kernels::linear::LinearSize;

use super::{Backward, Forward, Layer, TensorShape};

/// `y[n,o] = f(Σ_i x[n,i] · w[o,i] + b[o])`; parameters: weight (O, I), bias (O).
pub struct Linear {
    /// Name in the model.
    pub name: String,
    /// Features in, I.
    pub inputs: usize,
    /// Features out, O.
    pub outputs: usize,
    /// f; none for linear outputs.
    pub activation: Option<Activation>,
}

impl Linear {
    fn size(&self, samples: usize) -> LinearSize {
        LinearSize { samples, inputs: self.inputs, outputs: self.outputs }
    }

    fn weights(&self) -> usize {
        self.outputs * self.inputs
    }
}

impl<D: Device> Layer<D> for Linear {
    fn out_features(&self) -> usize {
        self.outputs
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let tensor =
            |kind: &str, shape| TensorShape { name: format!("{}.{kind}", self.name), shape, fan_in: self.inputs };
        vec![tensor("weight", vec![self.outputs, self.inputs]), tensor("bias", vec![self.outputs])]
    }

    fn forward(&self, device: &mut D, parameters: D::View<'_, f32>, mut values: Forward<'_, D>) {
        let weight = D::slice(parameters, 0..self.weights());
        let bias = D::slice(parameters, self.weights()..self.weights() + self.outputs);
        let len = device.activation_len(values.samples, self.outputs);
        let y = D::slice_mut(&mut values.y, 0..len);
        device.linear_forward(&self.size(values.samples), values.x, weight, bias, y);
        if let Some(function) = self.activation {
            let size = ActivationSize { samples: values.samples, features: self.outputs };
            device.activation_forward(&size, function, values.y);
        }
    }

    fn backward(
        &self,
        device: &mut D,
        parameters: D::View<'_, f32>,
        d_parameters: D::ViewMut<'_, f32>,
        mut values: Backward<'_, D>,
    ) {
        let size = self.size(values.samples);
        let (weights, outputs) = (self.weights(), self.outputs);
        let d_len = device.activation_len(values.samples, outputs);
        if let Some(function) = self.activation {
            let size = ActivationSize { samples: values.samples, features: outputs };
            device.activation_backward(&size, function, values.y, D::slice_mut(&mut values.d_y, 0..d_len));
        }
        let d_y = D::shared(values.d_y);
        if let Some(d_x) = values.d_x {
            let weight = D::slice(parameters, 0..weights);
            device.linear_backward_input(&size, weight, d_y, d_x);
        }
        let (d_weight, d_bias) = D::split_mut(d_parameters, weights);
        device.linear_backward_weight(&size, values.x, d_y, d_weight, d_bias);
    }
}
