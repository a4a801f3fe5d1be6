//! Average pooling over a grid of cells; a grid of one cell is the mean of the plane.

use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::AdaptivePool2dSize;

use super::{Backward, Forward, Keeps, Layer, Spare, Tangent, TangentBack, TangentGradient};

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

    fn tangents(&self) -> Option<Spare> {
        Some(Spare::default())
    }

    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, r_y: D::ViewMut<'_, f32>) {
        if let Some(r_x) = at.r_inputs.optional(0) {
            device.adaptive_average_pool2d_forward(&self.size(at.batch.samples), r_x, r_y);
        }
    }

    fn tangent_backward(&self, device: &mut D, pass: TangentBack<'_, D>) {
        if let [Some(TangentGradient { d_x, r_d_x }), ..] = pass.before {
            let size = self.size(pass.at.batch.samples);
            device.adaptive_average_pool2d_backward(&size, D::shared(pass.d_y), d_x);
            device.adaptive_average_pool2d_backward(&size, D::shared(pass.r_d_y), r_d_x);
        }
    }
}
