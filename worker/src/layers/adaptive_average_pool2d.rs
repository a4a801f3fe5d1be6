//! Average pooling over a grid of cells; a grid of one cell is the mean of the plane.

use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::AdaptivePool2dSize;

use super::{Backward, Forward, Keeps, Layer};

/// `y` = the mean of each cell; no parameters.
pub struct AdaptiveAveragePool2d {
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: AdaptivePool2dSize,
}

impl AdaptiveAveragePool2d {
    fn size(&self, samples: usize) -> AdaptivePool2dSize {
        AdaptivePool2dSize { samples, ..self.size }
    }
}

impl<D: Device> Layer<D> for AdaptiveAveragePool2d {
    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, y: false }
    }

    fn forward(&self, device: &mut D, pass: Forward<'_, D>) {
        device.adaptive_average_pool2d_forward(&self.size(pass.batch.samples), pass.inputs.x(), pass.y);
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        if let [Some(gradient), ..] = pass.d_x {
            let size = self.size(pass.batch.samples);
            device.adaptive_average_pool2d_backward(&size, D::shared(pass.d_y), gradient.d_x);
        }
    }
}
