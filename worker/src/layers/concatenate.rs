//! Concatenation along channels.

use lockstep_kernels::concatenate::ConcatenateSize;
use lockstep_kernels::device::Device;

use super::{Backward, Forward, Keeps, Layer, Spare, Tangent, TangentBack, TangentGradient};

/// Up to four values behind each other; no parameters.
pub struct Concatenate {
    /// Values a sample of each part.
    pub parts: Vec<usize>,
    /// Those of one channel.
    pub plane: usize,
}

impl Concatenate {
    /// Each part's place and its size.
    fn sizes(&self, samples: usize) -> impl Iterator<Item = ConcatenateSize> {
        let (features, plane) = (self.parts.iter().sum(), self.plane);
        self.parts.iter().scan(0, move |end, &part| {
            let first = *end;
            *end += part;
            Some(ConcatenateSize { samples, features, first, part, plane })
        })
    }
}

impl<D: Device> Layer<D> for Concatenate {
    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, y: false }
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let samples = pass.batch.samples;
        let len = device.activation_len(samples, self.parts.iter().sum());
        for (index, size) in self.sizes(samples).enumerate() {
            device.concatenate_forward(&size, pass.inputs.get(index), D::slice_mut(&mut pass.y, 0..len));
        }
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        let d_y = D::shared(pass.d_y);
        for (size, gradient) in self.sizes(pass.batch.samples).zip(pass.d_x) {
            if let Some(gradient) = gradient {
                device.concatenate_backward(&size, d_y, gradient.d_x);
            }
        }
    }

    fn tangents(&self) -> Option<Spare> {
        Some(Spare::default())
    }

    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, mut r_y: D::ViewMut<'_, f32>) {
        let samples = at.batch.samples;
        let len = device.activation_len(samples, self.parts.iter().sum());
        // Of a part that no weight moves.
        device.fill(0.0, D::slice_mut(&mut r_y, 0..len));
        for (index, size) in self.sizes(samples).enumerate() {
            if let Some(r_x) = at.r_inputs.optional(index) {
                device.concatenate_forward(&size, r_x, D::slice_mut(&mut r_y, 0..len));
            }
        }
    }

    fn tangent_backward(&self, device: &mut D, pass: TangentBack<'_, D>) {
        let (d_y, r_d_y) = (D::shared(pass.d_y), D::shared(pass.r_d_y));
        for (size, before) in self.sizes(pass.at.batch.samples).zip(pass.before) {
            if let Some(TangentGradient { d_x, r_d_x }) = before {
                device.concatenate_backward(&size, d_y, d_x);
                device.concatenate_backward(&size, r_d_y, r_d_x);
            }
        }
    }
}
