//! Zeros for channels that are not there: the identity shortcut of a residual block that widens.

use lockstep_kernels::concatenate::ConcatenateSize;
use lockstep_kernels::device::Device;

use super::{Backward, Forward, Keeps, Layer, Spare, Tangent, TangentBack, TangentGradient};
use crate::model::Shape;

/// `y` = zeros, then x, then zeros, along channels; no parameters.
pub struct PadChannels {
    /// Channels of zeros before x.
    pub before: usize,
    /// Shape of x.
    pub shape: Shape,
    /// Channels of y.
    pub channels: usize,
}

impl PadChannels {
    fn size(&self, samples: usize) -> ConcatenateSize {
        let plane = self.shape.plane();
        let (features, first) = (self.channels * plane, self.before * plane);
        ConcatenateSize { samples, features, first, part: self.shape.features(), plane }
    }
}

impl<D: Device> Layer<D> for PadChannels {
    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, y: false }
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let size = self.size(pass.batch.samples);
        let len = device.activation_len(size.samples, size.features);
        device.fill(0.0, D::slice_mut(&mut pass.y, 0..len));
        device.concatenate_forward(&size, pass.inputs.x(), pass.y);
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        if let [Some(gradient), ..] = pass.d_x {
            device.concatenate_backward(&self.size(pass.batch.samples), D::shared(pass.d_y), gradient.d_x);
        }
    }

    fn tangents(&self) -> Option<Spare> {
        Some(Spare::default())
    }

    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, mut r_y: D::ViewMut<'_, f32>) {
        if let Some(r_x) = at.r_inputs.optional(0) {
            let size = self.size(at.batch.samples);
            let len = device.activation_len(size.samples, size.features);
            device.fill(0.0, D::slice_mut(&mut r_y, 0..len));
            device.concatenate_forward(&size, r_x, r_y);
        }
    }

    fn tangent_backward(&self, device: &mut D, pass: TangentBack<'_, D>) {
        if let [Some(TangentGradient { d_x, r_d_x }), ..] = pass.before {
            let size = self.size(pass.at.batch.samples);
            device.concatenate_backward(&size, D::shared(pass.d_y), d_x);
            device.concatenate_backward(&size, D::shared(pass.r_d_y), r_d_x);
        }
    }
}
