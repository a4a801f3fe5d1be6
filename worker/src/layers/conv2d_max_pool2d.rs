//! Convolution, 2×2 max-pooling and an activation as one layer: the convolution's own output is never stored.
//!
//! The activation comes behind the pooling, LeCun's order: for an increasing function that is the same function, and
//! it sees a quarter of the values.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::conv2d_max_pool2d::{Pooled, PooledMut};
use lockstep_kernels::device::Device;

use super::activation::Behind;
use super::conv2d::Conv2d;
use super::{Backward, Curvature, Forward, Keeps, Layer, Memo, Squares, SquaresMut, TensorShape};

/// `y = f(max_pool(x ⋆ w + b))`; parameters: weight (O, C, K, K), bias (O). Values before it (N, C, H, W), behind it
/// (N, O, ⌊H′/2⌋, ⌊W′/2⌋).
pub struct Conv2dMaxPool2d {
    /// The convolution.
    pub conv: Conv2d,
    /// f; none for the pooled values themselves.
    pub activation: Option<Activation>,
}

impl Conv2dMaxPool2d {
    fn features(&self) -> usize {
        let Conv2dSize { out_channels, .. } = self.conv.size;
        out_channels * (self.conv.size.out_height() / 2) * (self.conv.size.out_width() / 2)
    }

    fn bias<'a, D: Device>(&self, parameters: D::View<'a, f32>) -> D::View<'a, f32> {
        self.conv.bias::<D>(parameters).expect("this layer's convolution has a bias")
    }

    fn behind(&self, samples: usize) -> Behind {
        Behind { function: self.activation, samples, features: self.features() }
    }
}

impl<D: Device> Layer<D> for Conv2dMaxPool2d {
    fn parameters(&self) -> Vec<TensorShape> {
        self.conv.tensors()
    }

    fn memo(&self) -> Memo {
        Memo { choices: self.features(), ..Memo::default() }
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: self.activation.is_some() }
    }

    fn convolution(&self) -> Option<Conv2dSize> {
        Some(self.conv.size)
    }

    fn operations(&self) -> u64 {
        self.conv.multiplications()
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let samples = pass.batch.samples;
        let len = device.activation_len(samples, self.features());
        let choices = device.note_len(samples, self.features());
        let (weight, bias) = (self.conv.weight::<D>(pass.own.parameters), self.bias::<D>(pass.own.parameters));
        let values = D::slice_mut(&mut pass.y, 0..len);
        let y = PooledMut { values, choice: D::slice_mut(&mut pass.choices, 0..choices) };
        device.conv2d_max_pool2d_forward(&self.conv.size(samples), pass.inputs.x(), weight, bias, y);
        self.behind(samples).forward(device, pass.y);
    }

    fn backward(&self, device: &mut D, mut pass: Backward<'_, D>) {
        let samples = pass.batch.samples;
        let size = self.conv.size(samples);
        self.behind(samples).backward(device, pass.y, &mut pass.d_y);
        let d_y = D::shared(pass.d_y);
        if let [Some(gradient), ..] = pass.d_x {
            let weight = self.conv.weight::<D>(pass.own.parameters);
            let d_y = Pooled { values: d_y, choice: pass.choices };
            device.conv2d_max_pool2d_backward_input(&size, weight, d_y, gradient.d_x);
        }
        let (d_weight, d_bias) = D::split_mut(pass.d_parameters, self.conv.weights());
        let d_y = Pooled { values: d_y, choice: pass.choices };
        device.conv2d_max_pool2d_backward_weight(&size, pass.inputs.x(), d_y, d_weight, d_bias);
    }

    fn squares(&self) -> Option<Squares> {
        Some(self.conv.all_squares())
    }

    /// As a convolution's, where each window's largest value alone has a second derivative.
    fn curvature(&self, device: &mut D, Curvature { mut back, squares, .. }: Curvature<'_, D>) {
        let samples = back.batch.samples;
        let size = self.conv.curvature_size(samples);
        self.behind(samples).curvature(device, back.y, &mut back.d_y);
        let h_y = D::shared(back.d_y);
        let SquaresMut { mut parameters, mut values } = squares;
        if let [Some(gradient), ..] = back.d_x {
            let all = 0..self.conv.weights();
            device.square(self.conv.weight::<D>(back.own.parameters), D::slice_mut(&mut parameters, all));
            let h_y = Pooled { values: h_y, choice: back.choices };
            device.conv2d_max_pool2d_backward_input(&size, D::shared(parameters), h_y, gradient.d_x);
        }
        let len = device.activation_len(samples, self.conv.all_squares().features);
        device.square(back.inputs.x(), D::slice_mut(&mut values, 0..len));
        let (h_weight, h_bias) = D::split_mut(back.d_parameters, self.conv.weights());
        let h_y = Pooled { values: h_y, choice: back.choices };
        device.conv2d_max_pool2d_backward_weight(&size, D::shared(values), h_y, h_weight, h_bias);
    }
}
