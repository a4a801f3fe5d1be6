//! Max pooling.

use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::Pool2dSize;

use super::{Backward, Curvature, Forward, Keeps, Layer, Memo, Spare, Squares, Tangent, TangentBack, TangentGradient};

/// `y` = the largest value of each window; no parameters.
pub struct MaxPool2d {
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: Pool2dSize,
}

impl MaxPool2d {
    fn size(&self, samples: usize) -> Pool2dSize {
        Pool2dSize { samples, ..self.size }
    }

    fn features(&self) -> usize {
        self.size.channels * self.size.out_height() * self.size.out_width()
    }
}

impl<D: Device> Layer<D> for MaxPool2d {
    fn memo(&self) -> Memo {
        Memo { choices: self.features(), ..Memo::default() }
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, y: false }
    }

    fn forward(&self, device: &mut D, pass: Forward<'_, D>) {
        device.max_pool2d_forward(&self.size(pass.batch.samples), pass.inputs.x(), pass.y, pass.choices);
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        if let [Some(gradient), ..] = pass.d_x {
            let size = self.size(pass.batch.samples);
            device.max_pool2d_backward(&size, D::shared(pass.d_y), pass.choices, gradient.d_x);
        }
    }

    fn squares(&self) -> Option<Squares> {
        Some(Squares::default())
    }

    /// As the gradient: each window's largest value alone has a second derivative.
    fn curvature(&self, device: &mut D, Curvature { back, .. }: Curvature<'_, D>) {
        Layer::<D>::backward(self, device, back);
    }

    fn tangents(&self) -> Option<Spare> {
        Some(Spare::default())
    }

    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, r_y: D::ViewMut<'_, f32>) {
        if let Some(r_x) = at.r_inputs.optional(0) {
            device.chosen(&self.size(at.batch.samples), r_x, at.choices, r_y);
        }
    }

    fn tangent_backward(&self, device: &mut D, pass: TangentBack<'_, D>) {
        if let [Some(TangentGradient { d_x, r_d_x }), ..] = pass.before {
            let size = self.size(pass.at.batch.samples);
            device.max_pool2d_backward(&size, D::shared(pass.d_y), pass.at.choices, d_x);
            device.max_pool2d_backward(&size, D::shared(pass.r_d_y), pass.at.choices, r_d_x);
        }
    }
}
