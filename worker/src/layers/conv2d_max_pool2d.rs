//! Convolution, 2×2 max-pooling and an activation as one layer: the convolution's own output is never stored.
//!
//! The activation comes behind the pooling, LeCun's order: for an increasing function that is the same function, and
//! it sees a quarter of the values.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::conv2d_max_pool2d::{Pooled, PooledMut};
use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::Pool2dSize;

use super::activation::Behind;
use super::conv2d::Conv2d;
use super::{
    Backward, Curvature, Forward, Keeps, Layer, Memo, Spare, SpareMut, Squares, SquaresMut, Tangent, TangentBack,
    TangentGradient, TensorShape,
};

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

    fn windows(&self, samples: usize) -> Pool2dSize {
        let size = &self.conv.size;
        let (channels, height, width) = (size.out_channels, size.out_height(), size.out_width());
        Pool2dSize { samples, channels, height, width, window: 2, stride: 2, padding: 0 }
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

    fn tangents(&self) -> Option<Spare> {
        let (parameters, inputs) =
            (self.conv.weights() + self.conv.size.out_channels, self.conv.all_squares().features);
        Some(Spare { parameters, features: [self.conv.out_features().max(inputs), self.features()] })
    }

    /// A convolution's, at the places that the pooling chose.
    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, mut r_y: D::ViewMut<'_, f32>) {
        let samples = at.batch.samples;
        let (size, windows) = (self.conv.size(samples), self.windows(samples));
        let [full, len] = [self.conv.out_features(), self.features()].map(|of| device.activation_len(samples, of));
        let SpareMut { values: [mut values, mut pooled], .. } = at.spare;
        let (v, v_bias) = (self.conv.weight::<D>(at.direction), self.bias::<D>(at.direction));
        device.conv2d_forward(&size, at.inputs.x(), v, Some(v_bias), D::slice_mut(&mut values, 0..full));
        let of_windows = D::shared(D::slice_mut(&mut values, 0..full));
        device.chosen(&windows, of_windows, at.choices, D::slice_mut(&mut r_y, 0..len));
        if let Some(r_x) = at.r_inputs.optional(0) {
            let weight = self.conv.weight::<D>(at.own.parameters);
            device.conv2d_forward(&size, r_x, weight, None, D::slice_mut(&mut values, 0..full));
            let of_windows = D::shared(D::slice_mut(&mut values, 0..full));
            device.chosen(&windows, of_windows, at.choices, D::slice_mut(&mut pooled, 0..len));
            device.accumulate(D::slice_mut(&mut r_y, 0..len), D::shared(D::slice_mut(&mut pooled, 0..len)));
        }
        self.behind(samples).tangent(device, at.y, r_y);
    }

    /// As a convolution's.
    fn tangent_backward(&self, device: &mut D, mut pass: TangentBack<'_, D>) {
        let Tangent { batch, own, direction, inputs, r_inputs, y, spare, choices, .. } = pass.at;
        let (size, weights) = (self.conv.size(batch.samples), self.conv.weights());
        self.behind(size.samples).tangent_back(device, (y, pass.r_y), &mut pass.d_y, &mut pass.r_d_y);
        let (d_y, r_d_y) = (D::shared(pass.d_y), D::shared(pass.r_d_y));
        let d_y = || Pooled { values: d_y, choice: choices };
        let r_d_y = || Pooled { values: r_d_y, choice: choices };
        let SpareMut { parameters, values: [mut values, _] } = spare;
        if let [Some(TangentGradient { d_x, mut r_d_x }), ..] = pass.before {
            let len = device.activation_len(size.samples, self.conv.all_squares().features);
            let (weight, v) = (self.conv.weight::<D>(own.parameters), self.conv.weight::<D>(direction));
            device.conv2d_max_pool2d_backward_input(&size, weight, d_y(), d_x);
            device.conv2d_max_pool2d_backward_input(&size, weight, r_d_y(), D::slice_mut(&mut r_d_x, 0..len));
            device.conv2d_max_pool2d_backward_input(&size, v, d_y(), D::slice_mut(&mut values, 0..len));
            device.accumulate(r_d_x, D::shared(D::slice_mut(&mut values, 0..len)));
        }
        let (mut of_weight, of_bias) = D::split_mut(pass.product, weights);
        let to = D::slice_mut(&mut of_weight, 0..weights);
        device.conv2d_max_pool2d_backward_weight(&size, inputs.x(), r_d_y(), to, of_bias);
        if let Some(r_x) = r_inputs.optional(0) {
            let (mut other, mut bias) = D::split_mut(parameters, weights);
            let bias = D::slice_mut(&mut bias, 0..size.out_channels);
            device.conv2d_max_pool2d_backward_weight(&size, r_x, d_y(), D::slice_mut(&mut other, 0..weights), bias);
            device.fold_add(of_weight, D::shared(D::slice_mut(&mut other, 0..weights)));
        }
    }
}
