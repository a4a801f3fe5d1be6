//! Average pooling with an optional activation behind it, LeCun's order.

use lockstep_kernels::activation::{Activation, ActivationSize};
use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::Pool2dSize;

use super::{Backward, Forward, Layer, TensorShape};

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
}

impl<D: Device> Layer<D> for AveragePool2d {
    fn out_features(&self) -> usize {
        self.features()
    }

    fn tensors(&self) -> Vec<TensorShape> {
        Vec::new()
    }

    fn forward(&self, device: &mut D, _parameters: D::View<'_, f32>, mut values: Forward<'_, D>) {
        let len = device.activation_len(values.samples, self.features());
        let y = D::slice_mut(&mut values.y, 0..len);
        device.average_pool2d_forward(&self.size(values.samples), values.x, y);
        if let Some(function) = self.activation {
            let size = ActivationSize { samples: values.samples, features: self.features() };
            device.activation_forward(&size, function, values.y);
        }
    }

    fn backward(
        &self,
        device: &mut D,
        _parameters: D::View<'_, f32>,
        _d_parameters: D::ViewMut<'_, f32>,
        mut values: Backward<'_, D>,
    ) {
        let len = device.activation_len(values.samples, self.features());
        if let Some(function) = self.activation {
            let size = ActivationSize { samples: values.samples, features: self.features() };
            device.activation_backward(&size, function, values.y, D::slice_mut(&mut values.d_y, 0..len));
        }
        let Some(d_x) = values.d_x else { return };
        device.average_pool2d_backward(&self.size(values.samples), D::shared(values.d_y), d_x);
    }
}
