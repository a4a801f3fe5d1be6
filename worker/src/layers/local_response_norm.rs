//! Local response normalisation.

use lockstep_kernels::device::Device;
use lockstep_kernels::local_response_norm::LocalResponseNormSize;

use super::{Backward, Forward, Keeps, Layer};

/// `y[c] = x[c] · (k + α/s · Σ x²)^−β` over s neighbouring channels; no parameters.
pub struct LocalResponseNorm {
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: LocalResponseNormSize,
}

impl LocalResponseNorm {
    fn size(&self, samples: usize) -> LocalResponseNormSize {
        LocalResponseNormSize { samples, ..self.size }
    }
}

impl<D: Device> Layer<D> for LocalResponseNorm {
    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: false }
    }

    fn divides_by_input(&self) -> bool {
        true
    }

    fn forward(&self, device: &mut D, pass: Forward<'_, D>) {
        device.local_response_norm_forward(&self.size(pass.batch.samples), pass.inputs.x(), pass.y);
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        if let [Some(gradient), ..] = pass.d_x {
            let size = self.size(pass.batch.samples);
            device.local_response_norm_backward(&size, pass.inputs.x(), D::shared(pass.d_y), gradient.d_x);
        }
    }
}
