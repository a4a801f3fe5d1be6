//! The sum of two values, as behind a residual block without normalisation, with an optional ReLU behind it.

use lockstep_kernels::activation::{self, ActivationSize};
use lockstep_kernels::conv2d::Accumulation;
use lockstep_kernels::device::Device;

use super::activation::Behind;
use super::{Backward, Forward, Keeps, Layer, Spare, Tangent, TangentBack, TangentGradient};

/// `y = relu?(a + b)`.
pub struct Add {
    /// Values a sample.
    pub features: usize,
    /// Whether a ReLU comes behind it.
    pub relu: bool,
}

impl Add {
    fn behind(&self, samples: usize) -> Behind {
        Behind { function: self.relu.then_some(activation::Activation::Relu), samples, features: self.features }
    }

    fn size(&self, samples: usize) -> ActivationSize {
        ActivationSize { samples, features: self.features }
    }
}

impl<D: Device> Layer<D> for Add {
    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, y: self.relu }
    }

    fn passes_on(&self) -> Option<usize> {
        Some(1)
    }

    fn adds(&self) -> bool {
        true
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let samples = pass.batch.samples;
        let len = device.activation_len(samples, self.features);
        device.add(pass.inputs.get(0), pass.inputs.get(1), D::slice_mut(&mut pass.y, 0..len));
        if self.relu {
            device.activation_forward(&self.size(samples), activation::Activation::Relu, pass.y);
        }
    }

    fn backward(&self, device: &mut D, mut pass: Backward<'_, D>) {
        let samples = pass.batch.samples;
        let len = device.activation_len(samples, self.features);
        if let (true, Some(y)) = (self.relu, pass.y) {
            let d_y = D::slice_mut(&mut pass.d_y, 0..len);
            device.activation_backward(&self.size(samples), activation::Activation::Relu, y, d_y);
        }
        if let [Some(gradient), ..] = pass.d_x {
            let d_y = D::shared(pass.d_y);
            match gradient.accumulation {
                Accumulation::Add => device.accumulate(gradient.d_x, d_y),
                Accumulation::Overwrite => device.copy(d_y, gradient.d_x),
            }
        }
    }

    fn tangents(&self) -> Option<Spare> {
        Some(Spare::default())
    }

    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, mut r_y: D::ViewMut<'_, f32>) {
        let samples = at.batch.samples;
        let len = device.activation_len(samples, self.features);
        match [at.r_inputs.optional(0), at.r_inputs.optional(1)] {
            [Some(a), Some(b)] => device.add(a, b, D::slice_mut(&mut r_y, 0..len)),
            [Some(alone), None] | [None, Some(alone)] => device.copy(alone, D::slice_mut(&mut r_y, 0..len)),
            [None, None] => return,
        }
        self.behind(samples).tangent(device, at.y, r_y);
    }

    fn tangent_backward(&self, device: &mut D, mut pass: TangentBack<'_, D>) {
        let samples = pass.at.batch.samples;
        let values = (pass.at.y, pass.r_y);
        self.behind(samples).tangent_back(device, values, &mut pass.d_y, &mut pass.r_d_y);
        let (d_y, r_d_y) = (D::shared(pass.d_y), D::shared(pass.r_d_y));
        for TangentGradient { d_x, r_d_x } in pass.before.into_iter().flatten() {
            device.copy(d_y, d_x);
            device.copy(r_d_y, r_d_x);
        }
    }
}
