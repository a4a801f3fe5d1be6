//! 2-D convolution with a square kernel, with an optional ReLU behind it in the same pass: `y = relu?(x ⋆ w + b)`.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::{Accumulation, Algorithm, Conv2dSize};
use lockstep_kernels::device::Device;

use super::activation::Behind;
use super::{
    Backward, Curvature, Forward, Keeps, Layer, Role, Spare, SpareMut, Squares, SquaresMut, Tangent, TangentBack,
    TangentGradient, TensorShape,
};

/// Parameters: weight (O, C, K, K), bias (O). Values before it (N, C, H, W), behind it (N, O, H′, W′).
pub struct Conv2d {
    /// Name in the model.
    pub name: String,
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: Conv2dSize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Whether `max(·, 0)` comes behind it.
    pub relu: bool,
}

impl Conv2d {
    pub(super) fn size(&self, samples: usize) -> Conv2dSize {
        Conv2dSize { samples, ..self.size }
    }

    /// For second derivatives: sums of what is nowhere negative, which Winograd's algorithm does not keep so.
    pub(super) fn curvature_size(&self, samples: usize) -> Conv2dSize {
        Conv2dSize { convolution: Algorithm::Direct, ..self.size(samples) }
    }

    /// Memory for squared weights and inputs.
    pub(super) fn all_squares(&self) -> Squares {
        let Conv2dSize { in_channels, height, width, .. } = self.size;
        Squares { parameters: self.weights(), features: in_channels * height * width }
    }

    /// Elements of the weight.
    pub(super) fn weights(&self) -> usize {
        self.size.weights()
    }

    /// Weight of the layer's parameters.
    pub(super) fn weight<'a, D: Device>(&self, parameters: D::View<'a, f32>) -> D::View<'a, f32> {
        D::slice(parameters, 0..self.weights())
    }

    /// Bias of the layer's parameters, if it has one.
    pub(super) fn bias<'a, D: Device>(&self, parameters: D::View<'a, f32>) -> Option<D::View<'a, f32>> {
        let weights = self.weights();
        self.bias.then(|| D::slice(parameters, weights..weights + self.size.out_channels))
    }

    /// Weight and bias.
    pub(super) fn tensors(&self) -> Vec<TensorShape> {
        let Conv2dSize { in_channels, out_channels, kernel, groups, .. } = self.size;
        let (inputs, outputs) = (in_channels / groups, out_channels / groups);
        let (fan_in, fan_out) = (inputs * kernel * kernel, outputs * kernel * kernel);
        let shape = vec![out_channels, inputs, kernel, kernel];
        let role = Role::Weight { fan_in, fan_out, plane: true };
        let mut tensors = vec![TensorShape::new(&self.name, "weight", shape, role)];
        if self.bias {
            let role = Role::Bias { fan_in, plane: true };
            tensors.push(TensorShape::new(&self.name, "bias", vec![out_channels], role));
        }
        tensors
    }

    /// Values a sample behind the convolution.
    pub(super) fn out_features(&self) -> usize {
        self.size.out_channels * self.size.out_height() * self.size.out_width()
    }

    fn behind(&self, samples: usize) -> Behind {
        let features = self.out_features();
        Behind { function: self.relu.then_some(Activation::Relu), samples, features }
    }

    /// Multiplications and additions a sample.
    pub(super) fn multiplications(&self) -> u64 {
        2 * (self.weights() * self.size.out_height() * self.size.out_width()) as u64
    }
}

impl<D: Device> Layer<D> for Conv2d {
    fn parameters(&self) -> Vec<TensorShape> {
        self.tensors()
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: self.relu }
    }

    fn convolution(&self) -> Option<Conv2dSize> {
        Some(self.size)
    }

    fn operations(&self) -> u64 {
        self.multiplications()
    }

    fn adds(&self) -> bool {
        true
    }

    fn forward(&self, device: &mut D, pass: Forward<'_, D>) {
        let (weight, bias) = (self.weight::<D>(pass.own.parameters), self.bias::<D>(pass.own.parameters));
        let (size, x) = (self.size(pass.batch.samples), pass.inputs.x());
        match self.relu {
            true => device.conv2d_relu_forward(&size, x, weight, bias, pass.y),
            false => device.conv2d_forward(&size, x, weight, bias, pass.y),
        }
    }

    fn backward(&self, device: &mut D, mut pass: Backward<'_, D>) {
        let size = self.size(pass.batch.samples);
        self.behind(size.samples).backward(device, pass.y, &mut pass.d_y);
        let d_y = D::shared(pass.d_y);
        if let [Some(gradient), ..] = pass.d_x {
            let weight = self.weight::<D>(pass.own.parameters);
            device.conv2d_backward_input(&size, weight, d_y, gradient.d_x, gradient.accumulation);
        }
        let (d_weight, d_bias) = D::split_mut(pass.d_parameters, self.weights());
        let d_bias = self.bias.then_some(d_bias);
        device.conv2d_backward_weight(&size, pass.inputs.x(), d_y, d_weight, d_bias);
    }

    fn squares(&self) -> Option<Squares> {
        Some(self.all_squares())
    }

    /// The sums of the backward pass over w² and x²: a shared weight's second derivative is the sum over its uses.
    fn curvature(&self, device: &mut D, Curvature { mut back, squares, .. }: Curvature<'_, D>) {
        let size = self.curvature_size(back.batch.samples);
        self.behind(size.samples).curvature(device, back.y, &mut back.d_y);
        let h_y = D::shared(back.d_y);
        let SquaresMut { mut parameters, mut values } = squares;
        if let [Some(gradient), ..] = back.d_x {
            let all = 0..self.weights();
            device.square(self.weight::<D>(back.own.parameters), D::slice_mut(&mut parameters, all));
            device.conv2d_backward_input(&size, D::shared(parameters), h_y, gradient.d_x, gradient.accumulation);
        }
        let len = device.activation_len(size.samples, self.all_squares().features);
        device.square(back.inputs.x(), D::slice_mut(&mut values, 0..len));
        let (h_weight, h_bias) = D::split_mut(back.d_parameters, self.weights());
        let h_bias = self.bias.then_some(h_bias);
        device.conv2d_backward_weight(&size, D::shared(values), h_y, h_weight, h_bias);
    }

    fn tangents(&self) -> Option<Spare> {
        Some(Spare { parameters: self.weights(), features: [self.out_features(), 0] })
    }

    /// `r_y = x ⋆ v + r_x ⋆ w + v_b`, 0 where the ReLU is.
    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, mut r_y: D::ViewMut<'_, f32>) {
        let size = self.size(at.batch.samples);
        let len = device.activation_len(size.samples, self.out_features());
        let (v, v_bias) = (self.weight::<D>(at.direction), self.bias::<D>(at.direction));
        device.conv2d_forward(&size, at.inputs.x(), v, v_bias, D::slice_mut(&mut r_y, 0..len));
        if let Some(r_x) = at.r_inputs.optional(0) {
            let SpareMut { values: [mut product, _], .. } = at.spare;
            let weight = self.weight::<D>(at.own.parameters);
            device.conv2d_forward(&size, r_x, weight, None, D::slice_mut(&mut product, 0..len));
            device.accumulate(D::slice_mut(&mut r_y, 0..len), D::shared(D::slice_mut(&mut product, 0..len)));
        }
        self.behind(size.samples).tangent(device, at.y, r_y);
    }

    /// As a fully connected layer's.
    fn tangent_backward(&self, device: &mut D, mut pass: TangentBack<'_, D>) {
        let Tangent { batch, own, direction, inputs, r_inputs, y, spare, .. } = pass.at;
        let (size, weights) = (self.size(batch.samples), self.weights());
        self.behind(size.samples).tangent_back(device, (y, pass.r_y), &mut pass.d_y, &mut pass.r_d_y);
        let (d_y, r_d_y) = (D::shared(pass.d_y), D::shared(pass.r_d_y));
        if let [Some(TangentGradient { d_x, mut r_d_x }), ..] = pass.before {
            let len = device.activation_len(size.samples, self.all_squares().features);
            let (weight, v) = (self.weight::<D>(own.parameters), self.weight::<D>(direction));
            device.conv2d_backward_input(&size, weight, d_y, d_x, Accumulation::Overwrite);
            let to = D::slice_mut(&mut r_d_x, 0..len);
            device.conv2d_backward_input(&size, weight, r_d_y, to, Accumulation::Overwrite);
            device.conv2d_backward_input(&size, v, d_y, r_d_x, Accumulation::Add);
        }
        let (mut of_weight, of_bias) = D::split_mut(pass.product, weights);
        let (to, of_bias) = (D::slice_mut(&mut of_weight, 0..weights), self.bias.then_some(of_bias));
        device.conv2d_backward_weight(&size, inputs.x(), r_d_y, to, of_bias);
        if let Some(r_x) = r_inputs.optional(0) {
            let mut other = spare.parameters;
            device.conv2d_backward_weight(&size, r_x, d_y, D::slice_mut(&mut other, 0..weights), None);
            device.fold_add(of_weight, D::shared(D::slice_mut(&mut other, 0..weights)));
        }
    }
}
