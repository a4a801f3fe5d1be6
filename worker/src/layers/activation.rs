//! An activation function by itself.

use lockstep_kernels::activation::{self, ActivationSize};
use lockstep_kernels::device::Device;

use super::{Backward, Curvature, Forward, Keeps, Layer, Squares};

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

    fn squares(&self) -> Option<Squares> {
        Some(Squares::default())
    }

    fn curvature(&self, device: &mut D, Curvature { back, .. }: Curvature<'_, D>) {
        let size = ActivationSize { samples: back.batch.samples, features: self.features };
        if let Some(y) = back.y {
            curve(device, &size, self.function, y, back.d_y);
        }
    }
}

/// `h_y` becomes `f′²·h_y`. The exact second derivative has another term, of f″, which may be negative (LeCun et al. 1998,
/// appendix C).
pub(super) fn curve<D: Device>(
    device: &mut D,
    size: &ActivationSize,
    function: activation::Activation,
    y: D::View<'_, f32>,
    mut h: D::ViewMut<'_, f32>,
) {
    let len = device.activation_len(size.samples, size.features);
    device.activation_backward(size, function, y, D::slice_mut(&mut h, 0..len));
    device.activation_backward(size, function, y, h);
}
