//! LeNet-5's trainable sub-sampling.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::{Algorithm, Conv2dSize};
use lockstep_kernels::device::Device;
use lockstep_kernels::subsample2d::Subsample2dSize;

use super::activation::Behind;
use super::{Backward, Curvature, Forward, Keeps, Layer, Role, Squares, SquaresMut, TensorShape};

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

    fn behind(&self, samples: usize) -> Behind {
        let features = self.size.channels * self.size.out_height() * self.size.out_width();
        Behind { function: Some(self.activation), samples, features }
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
        behind.forward(device, pass.y);
    }

    fn backward(&self, device: &mut D, mut pass: Backward<'_, D>) {
        let (samples, channels) = (pass.batch.samples, self.size.channels);
        let size = self.size(samples);
        self.behind(samples).backward(device, pass.y, &mut pass.d_y);
        let d_y = D::shared(pass.d_y);
        if let [Some(gradient), ..] = pass.d_x {
            let weight = D::slice(pass.own.parameters, 0..channels);
            device.subsample2d_backward_input(&size, weight, d_y, gradient.d_x);
        }
        let (d_weight, d_bias) = D::split_mut(pass.d_parameters, channels);
        device.subsample2d_backward_weight(&size, pass.inputs.x(), d_y, d_weight, d_bias);
    }

    fn squares(&self) -> Option<Squares> {
        // Squared coefficients, ones and zeros; the windows' sums and their squares.
        Some(Squares { parameters: 3 * self.size.channels, features: 2 * self.behind(0).features })
    }

    /// With S the sum of a window and h = f′²·h_y: `h_x = weight[c]²·h`, `h_weight[c] = Σ S²·h`, `h_bias[c] = Σ h`.
    fn curvature(&self, device: &mut D, Curvature { mut back, squares, .. }: Curvature<'_, D>) {
        let (samples, channels) = (back.batch.samples, self.size.channels);
        let (size, behind) = (self.size(samples), self.behind(samples));
        let len = device.activation_len(samples, behind.features);
        behind.curvature(device, back.y, &mut back.d_y);
        let h_y = D::shared(back.d_y);
        let SquaresMut { parameters, values } = squares;
        let (mut squared, constants) = D::split_mut(parameters, channels);
        if let [Some(gradient), ..] = back.d_x {
            device.square(D::slice(back.own.parameters, 0..channels), D::slice_mut(&mut squared, 0..channels));
            device.subsample2d_backward_input(&size, D::shared(squared), h_y, gradient.d_x);
        }
        let (mut ones, mut zeros) = D::split_mut(constants, channels);
        device.fill(1.0, D::slice_mut(&mut ones, 0..channels));
        device.fill(0.0, D::slice_mut(&mut zeros, 0..channels));
        let (mut sums, mut squares) = D::split_mut(values, len);
        let of_windows = D::slice_mut(&mut sums, 0..len);
        device.subsample2d_forward(&size, back.inputs.x(), D::shared(ones), D::shared(zeros), of_windows);
        device.square(D::shared(sums), D::slice_mut(&mut squares, 0..len));
        // One coefficient a channel: the weight of a 1×1 convolution in which channels see only themselves.
        let coefficients = Conv2dSize {
            samples,
            in_channels: channels,
            out_channels: channels,
            groups: channels,
            height: size.out_height(),
            width: size.out_width(),
            convolution: Algorithm::Direct,
            ..Conv2dSize::PLAIN
        };
        let (h_weight, h_bias) = D::split_mut(back.d_parameters, channels);
        device.conv2d_backward_weight(&coefficients, D::shared(squares), h_y, h_weight, Some(h_bias));
    }
}
