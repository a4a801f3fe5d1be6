//! An activation function, by itself or behind what a layer computes.

use lockstep_kernels::activation::{self, ActivationSize};
use lockstep_kernels::device::Device;

use super::{Backward, Curvature, Forward, Keeps, Layer, Spare, Squares, Tangent, TangentBack, TangentGradient};

/// An activation of a micro-batch's values; none for the identity.
#[derive(Clone, Copy)]
pub(super) struct Behind {
    pub function: Option<activation::Activation>,
    pub samples: usize,
    /// Values a sample.
    pub features: usize,
}

impl Behind {
    fn size(self) -> ActivationSize {
        ActivationSize { samples: self.samples, features: self.features }
    }

    /// Values become f of them.
    pub fn forward<D: Device>(self, device: &mut D, y: D::ViewMut<'_, f32>) {
        if let Some(function) = self.function {
            device.activation_forward(&self.size(), function, y);
        }
    }

    /// `d_y` becomes `f′·d_y`; `y`: the function's values.
    pub fn backward<D: Device>(self, device: &mut D, y: Option<D::View<'_, f32>>, d_y: &mut D::ViewMut<'_, f32>) {
        let len = device.activation_len(self.samples, self.features);
        if let (Some(function), Some(y)) = (self.function, y) {
            device.activation_backward(&self.size(), function, y, D::slice_mut(d_y, 0..len));
        }
    }

    /// `h_y` becomes `f′²·h_y`. The exact second derivative has another term, of f″, which may be negative (LeCun et al.
    /// 1998, appendix C).
    pub fn curvature<D: Device>(self, device: &mut D, y: Option<D::View<'_, f32>>, h_y: &mut D::ViewMut<'_, f32>) {
        self.backward(device, y, h_y);
        self.backward(device, y, h_y);
    }
}

/// `y = f(x)`, element by element.
pub struct Activation {
    /// f.
    pub function: activation::Activation,
    /// Values a sample.
    pub features: usize,
}

impl Activation {
    fn on(&self, samples: usize) -> Behind {
        Behind { function: Some(self.function), samples, features: self.features }
    }
}

impl<D: Device> Layer<D> for Activation {
    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, y: true }
    }

    fn passes_on(&self) -> Option<usize> {
        Some(0)
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let samples = pass.batch.samples;
        let len = device.activation_len(samples, self.features);
        device.copy(pass.inputs.x(), D::slice_mut(&mut pass.y, 0..len));
        self.on(samples).forward(device, pass.y);
    }

    fn backward(&self, device: &mut D, mut pass: Backward<'_, D>) {
        self.on(pass.batch.samples).backward(device, pass.y, &mut pass.d_y);
    }

    fn squares(&self) -> Option<Squares> {
        Some(Squares::default())
    }

    fn curvature(&self, device: &mut D, Curvature { mut back, .. }: Curvature<'_, D>) {
        self.on(back.batch.samples).curvature(device, back.y, &mut back.d_y);
    }

    fn tangents(&self) -> Option<Spare> {
        Some(Spare::default())
    }

    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, mut r_y: D::ViewMut<'_, f32>) {
        if let Some(r_x) = at.r_inputs.optional(0) {
            let len = device.activation_len(at.batch.samples, self.features);
            device.copy(r_x, D::slice_mut(&mut r_y, 0..len));
            self.on(at.batch.samples).tangent(device, at.y, r_y);
        }
    }

    fn tangent_backward(&self, device: &mut D, mut pass: TangentBack<'_, D>) {
        let values = (pass.at.y, pass.r_y);
        self.on(pass.at.batch.samples).tangent_back(device, values, &mut pass.d_y, &mut pass.r_d_y);
        if let [Some(TangentGradient { d_x, r_d_x }), ..] = pass.before {
            device.copy(D::shared(pass.d_y), d_x);
            device.copy(D::shared(pass.r_d_y), r_d_x);
        }
    }
}
