//! Dropout.

use lockstep_kernels::device::Device;
use lockstep_kernels::dropout::DropoutSize;

use super::{Backward, Forward, Keeps, Layer, Mode};

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
}
