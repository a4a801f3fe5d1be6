//! Dropout.

use lockstep_kernels::device::Device;
use lockstep_kernels::dropout::DropoutSize;

use super::{Backward, Forward, Keeps, Layer, Mode, Spare, Tangent, TangentBack, TangentGradient};

/// `y = x · mask / (1 − p)` in training, `y = x` in evaluation.
pub struct Dropout {
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: DropoutSize,
    /// Where its masks come from, see [`super::MicroBatch::keys_of`].
    pub stream: usize,
}

impl Dropout {
    fn size(&self, samples: usize) -> DropoutSize {
        DropoutSize { samples, ..self.size }
    }
}

impl<D: Device> Layer<D> for Dropout {
    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, y: false }
    }

    fn passes_on(&self) -> Option<usize> {
        Some(0)
    }

    fn forward(&self, device: &mut D, pass: Forward<'_, D>) {
        match pass.mode {
            Mode::Train(_) => {
                device.dropout_forward(
                    &self.size(pass.batch.samples),
                    pass.batch.keys_of(self.stream),
                    pass.inputs.x(),
                    pass.y,
                );
            }
            Mode::Evaluate => device.copy(pass.inputs.x(), pass.y),
        }
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        device.dropout_backward(&self.size(pass.batch.samples), pass.batch.keys_of(self.stream), pass.d_y);
    }

    fn tangents(&self) -> Option<Spare> {
        Some(Spare::default())
    }

    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, r_y: D::ViewMut<'_, f32>) {
        match at.r_inputs.optional(0) {
            Some(r_x) if at.drops => {
                device.dropout_forward(&self.size(at.batch.samples), at.batch.keys_of(self.stream), r_x, r_y);
            }
            Some(r_x) => device.copy(r_x, r_y),
            None => {}
        }
    }

    fn tangent_backward(&self, device: &mut D, pass: TangentBack<'_, D>) {
        let [Some(TangentGradient { mut d_x, mut r_d_x }), ..] = pass.before else { return };
        let batch = pass.at.batch;
        let len = device.activation_len(batch.samples, self.size.features);
        device.copy(D::shared(pass.d_y), D::slice_mut(&mut d_x, 0..len));
        device.copy(D::shared(pass.r_d_y), D::slice_mut(&mut r_d_x, 0..len));
        if pass.at.drops {
            let size = self.size(batch.samples);
            device.dropout_backward(&size, batch.keys_of(self.stream), d_x);
            device.dropout_backward(&size, batch.keys_of(self.stream), r_d_x);
        }
    }
}
