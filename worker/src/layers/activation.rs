//! An activation function by itself.

use lockstep_kernels::activation::{self, ActivationSize};
use lockstep_kernels::device::Device;

use super::{Backward, Forward, Keeps, Layer};

/// `y = f(x)`, element by element.
pub struct Activation {
    /// f.
    pub function: activation::Activation,
    /// Values a sample.
    pub features: usize,
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
        device.activation_forward(&ActivationSize { samples, features: self.features }, self.function, pass.y);
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        let size = ActivationSize { samples: pass.batch.samples, features: self.features };
        if let Some(y) = pass.y {
            device.activation_backward(&size, self.function, y, pass.d_y);
        }
    }
}
