//! Average pooling with an optional activation behind it, LeCun's order.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::Pool2dSize;

use super::activation::Behind;
use super::{Backward, Curvature, Forward, Keeps, Layer, Spare, Squares, Tangent, TangentBack, TangentGradient};

/// `y = f(average_pool(x))`; no parameters.
pub struct AveragePool2d {
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: Pool2dSize,
    /// f; none for the pooled values themselves.
    pub activation: Option<Activation>,
}

impl AveragePool2d {
    fn size(&self, samples: usize) -> Pool2dSize {
        Pool2dSize { samples, ..self.size }
    }

    fn features(&self) -> usize {
        self.size.channels * self.size.out_height() * self.size.out_width()
    }

    fn behind(&self, samples: usize) -> Behind {
        Behind { function: self.activation, samples, features: self.features() }
    }
}

impl<D: Device> Layer<D> for AveragePool2d {
    fn keeps(&self) -> Keeps {
        Keeps { inputs: false, y: self.activation.is_some() }
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let samples = pass.batch.samples;
        let len = device.activation_len(samples, self.features());
        let y = D::slice_mut(&mut pass.y, 0..len);
        device.average_pool2d_forward(&self.size(samples), pass.inputs.x(), y);
        self.behind(samples).forward(device, pass.y);
    }

    fn backward(&self, device: &mut D, mut pass: Backward<'_, D>) {
        let samples = pass.batch.samples;
        self.behind(samples).backward(device, pass.y, &mut pass.d_y);
        if let [Some(gradient), ..] = pass.d_x {
            device.average_pool2d_backward(&self.size(samples), D::shared(pass.d_y), gradient.d_x);
        }
    }

    fn squares(&self) -> Option<Squares> {
        Some(Squares::default())
    }

    /// The weights 1/K² of a window, squared.
    fn curvature(&self, device: &mut D, Curvature { mut back, .. }: Curvature<'_, D>) {
        let samples = back.batch.samples;
        self.behind(samples).curvature(device, back.y, &mut back.d_y);
        if let [Some(mut gradient), ..] = back.d_x {
            let size = self.size(samples);
            let len = device.activation_len(samples, size.channels * size.height * size.width);
            device.average_pool2d_backward(&size, D::shared(back.d_y), D::slice_mut(&mut gradient.d_x, 0..len));
            device.scale(1.0 / (size.window * size.window) as f32, gradient.d_x);
        }
    }

    fn tangents(&self) -> Option<Spare> {
        Some(Spare::default())
    }

    fn tangent_forward(&self, device: &mut D, at: Tangent<'_, D>, mut r_y: D::ViewMut<'_, f32>) {
        if let Some(r_x) = at.r_inputs.optional(0) {
            let samples = at.batch.samples;
            let len = device.activation_len(samples, self.features());
            device.average_pool2d_forward(&self.size(samples), r_x, D::slice_mut(&mut r_y, 0..len));
            self.behind(samples).tangent(device, at.y, r_y);
        }
    }

    fn tangent_backward(&self, device: &mut D, mut pass: TangentBack<'_, D>) {
        let samples = pass.at.batch.samples;
        let values = (pass.at.y, pass.r_y);
        self.behind(samples).tangent_back(device, values, &mut pass.d_y, &mut pass.r_d_y);
        if let [Some(TangentGradient { d_x, r_d_x }), ..] = pass.before {
            device.average_pool2d_backward(&self.size(samples), D::shared(pass.d_y), d_x);
            device.average_pool2d_backward(&self.size(samples), D::shared(pass.r_d_y), r_d_x);
        }
    }
}
