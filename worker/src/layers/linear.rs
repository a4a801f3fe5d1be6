//! Fully connected layer with an optional activation: `y = f(x · wᵀ + b)`.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::device::Device;
use lockstep_kernels::linear::LinearSize;

use super::activation::Behind;
use super::{
    Backward, Curvature, Forward, Keeps, Layer, Role, Spare, SpareMut, Squares, SquaresMut, Tangent, TangentBack,
    TangentGradient, TensorShape,
};

/// `y[n,o] = f(Σ_i x[n,i] · w[o,i] + b[o])`; parameters: weight (O, I), bias (O).
pub struct Linear {
    /// Name in the model.
    pub name: String,
    /// Features in, I.
    pub inputs: usize,
    /// Those of one channel before it; 1 where there is no plane.
    pub plane: usize,
    /// Features out, O.
    pub outputs: usize,
    /// f; none for linear outputs.
    pub activation: Option<Activation>,
}

impl Linear {
    fn size(&self, samples: usize) -> LinearSize {
        LinearSize { samples, inputs: self.inputs, plane: self.plane, outputs: self.outputs }
    }

    fn weights(&self) -> usize {
        self.outputs * self.inputs
    }

    fn behind(&self, samples: usize) -> Behind {
        Behind { function: self.activation, samples, features: self.outputs }
    }
}

impl<D: Device> Layer<D> for Linear {
    fn parameters(&self) -> Vec<TensorShape> {
        let (fan_in, fan_out) = (self.inputs, self.outputs);
        vec![
            TensorShape::new(
                &self.name,
                "weight",
                vec![fan_out, fan_in],
                Role::Weight { fan_in, fan_out, plane: false },
            ),
            TensorShape::new(&self.name, "bias", vec![fan_out], Role::Bias { fan_in, plane: false }),
        ]
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: self.activation.is_some() }
    }

    fn operations(&self) -> u64 {
        2 * self.weights() as u64
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let samples = pass.batch.samples;
        let weight = D::slice(pass.own.parameters, 0..self.weights());
        let bias = D::slice(pass.own.parameters, self.weights()..self.weights() + self.outputs);
        let len = device.activation_len(samples, self.outputs);
        device.linear_forward(&self.size(samples), pass.inputs.x(), weight, bias, D::slice_mut(&mut pass.y, 0..len));
        self.behind(samples).forward(device, pass.y);
    }

    fn backward(&self, device: &mut D, mut pass: Backward<'_, D>) {
        let samples = pass.batch.samples;
        self.behind(samples).backward(device, pass.y, &mut pass.d_y);
        let (size, d_y) = (self.size(samples), D::shared(pass.d_y));
        if let [Some(gradient), ..] = pass.d_x {
            let weight = D::slice(pass.own.parameters, 0..self.weights());
            device.linear_backward_input(&size, weight, d_y, gradient.d_x);
        }
        let (d_weight, d_bias) = D::split_mut(pass.d_parameters, self.weights());
        device.linear_backward_weight(&size, pass.inputs.x(), d_y, d_weight, d_bias);
    }

    fn squares(&self) -> Option<Squares> {
        Some(Squares { parameters: self.weights(), features: self.inputs })
    }

    /// `h_x[n,i] = Σ_o w[o,i]²·h[n,o]`, `h_w[o,i] = Σ_n x[n,i]²·h[n,o]`, `h_b[o] = Σ_n h[n,o]` with `h = f′²·h_y`.
    fn curvature(&self, device: &mut D, Curvature { mut back, squares, .. }: Curvature<'_, D>) {
        let samples = back.batch.samples;
        self.behind(samples).curvature(device, back.y, &mut back.d_y);
        let (size, h_y) = (self.size(samples), D::shared(back.d_y));
        let SquaresMut { mut parameters, mut values } = squares;
        if let [Some(gradient), ..] = back.d_x {
            let weights = self.weights();
            let weight = D::slice(back.own.parameters, 0..weights);
            device.square(weight, D::slice_mut(&mut parameters, 0..weights));
            device.linear_backward_input(&size, D::shared(parameters), h_y, gradient.d_x);
        }
        let len = device.activation_len(samples, self.inputs);
        device.square(back.inputs.x(), D::slice_mut(&mut values, 0..len));
        let (h_weight, h_bias) = D::split_mut(back.d_parameters, self.weights());
        device.linear_backward_weight(&size, D::shared(values), h_y, h_weight, h_bias);
    }

    fn tangents(&self) -> Option<Spare> {
        let Self { inputs, outputs, .. } = *self;
        Some(Spare { parameters: self.weights() + outputs, features: [inputs.max(outputs), 0] })
    }

    /// `r_y = f′·(x·vᵀ + r_x·wᵀ + v_b)`.
    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, mut r_y: D::ViewMut<'_, f32>) {
        let (size, weights) = (self.size(at.batch.samples), self.weights());
        let len = device.activation_len(size.samples, self.outputs);
        let (v, v_bias) = (D::slice(at.direction, 0..weights), D::slice(at.direction, weights..weights + self.outputs));
        device.linear_forward(&size, at.inputs.x(), v, v_bias, D::slice_mut(&mut r_y, 0..len));
        if let Some(r_x) = at.r_inputs.optional(0) {
            let SpareMut { mut parameters, values: [mut product, _] } = at.spare;
            let mut zeros = D::slice_mut(&mut parameters, 0..self.outputs);
            device.fill(0.0, D::slice_mut(&mut zeros, 0..self.outputs));
            let weight = D::slice(at.own.parameters, 0..weights);
            device.linear_forward(&size, r_x, weight, D::shared(zeros), D::slice_mut(&mut product, 0..len));
            device.accumulate(D::slice_mut(&mut r_y, 0..len), D::shared(D::slice_mut(&mut product, 0..len)));
        }
        self.behind(size.samples).tangent(device, at.y, r_y);
    }

    /// With d and r_d before f: `r_d_x = r_d·w + d·v`, `r_d_w = r_dᵀ·x + dᵀ·r_x`, `r_d_b = Σ r_d`.
    fn tangent_backward(&self, device: &mut D, mut pass: TangentBack<'_, D>) {
        let Tangent { batch, own, direction, inputs, r_inputs, y, spare, .. } = pass.at;
        let (size, weights) = (self.size(batch.samples), self.weights());
        self.behind(size.samples).tangent_back(device, (y, pass.r_y), &mut pass.d_y, &mut pass.r_d_y);
        let (d_y, r_d_y) = (D::shared(pass.d_y), D::shared(pass.r_d_y));
        let SpareMut { parameters, values: [mut values, _] } = spare;
        if let [Some(TangentGradient { d_x, mut r_d_x }), ..] = pass.before {
            let len = device.activation_len(size.samples, self.inputs);
            let weight = D::slice(own.parameters, 0..weights);
            device.linear_backward_input(&size, weight, d_y, d_x);
            device.linear_backward_input(&size, weight, r_d_y, D::slice_mut(&mut r_d_x, 0..len));
            let v = D::slice(direction, 0..weights);
            device.linear_backward_input(&size, v, d_y, D::slice_mut(&mut values, 0..len));
            device.accumulate(r_d_x, D::shared(D::slice_mut(&mut values, 0..len)));
        }
        let (mut of_weight, of_bias) = D::split_mut(pass.product, weights);
        device.linear_backward_weight(&size, inputs.x(), r_d_y, D::slice_mut(&mut of_weight, 0..weights), of_bias);
        if let Some(r_x) = r_inputs.optional(0) {
            let (mut other, bias) = D::split_mut(parameters, weights);
            device.linear_backward_weight(&size, r_x, d_y, D::slice_mut(&mut other, 0..weights), bias);
            device.fold_add(of_weight, D::shared(D::slice_mut(&mut other, 0..weights)));
        }
    }
}
