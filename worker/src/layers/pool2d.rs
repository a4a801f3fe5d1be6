//! Pooling with an optional activation behind it, LeCun's order: the activation sees a quarter of the values,
//! and for an increasing function max-pooling before or behind it is the same function.

use lockstep_kernels::activation::{Activation, ActivationSize};
use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::Pool2dSize;

use super::{Backward, Forward, Layer, TensorShape};

/// Kinds of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest value of a window.
    Max,
    /// The mean of a window.
    Average,
}

/// `y = f(pool(x))`; no parameters.
pub struct Pool2d {
    /// Which.
    pub pooling: Pooling,
    /// Sizes; `samples` is the micro-batch's at each values.
    pub size: Pool2dSize,
    /// f; none for the pooled values themselves.
    pub activation: Option<Activation>,
}

impl Pool2d {
    fn size(&self, samples: usize) -> Pool2dSize {
        Pool2dSize { samples, ..self.size }
    }

    fn features(&self) -> usize {
        self.size.channels * self.size.out_height() * self.size.out_width()
    }
}

impl<D: Device> Layer<D> for Pool2d {
    fn out_features(&self) -> usize {
        self.features()
    }

    fn tensors(&self) -> Vec<TensorShape> {
        Vec::new()
    }

    fn memo_features(&self) -> usize {
        match self.pooling {
            Pooling::Max => self.features(),
            Pooling::Average => 0,
        }
    }

    fn forward(&self, device: &mut D, _parameters: D::View<'_, f32>, mut values: Forward<'_, D>) {
        let size = self.size(values.samples);
        let len = device.activation_len(values.samples, self.features());
        let y = D::slice_mut(&mut values.y, 0..len);
        match self.pooling {
            Pooling::Max => device.max_pool2d_forward(&size, values.x, y, values.memo),
            Pooling::Average => device.average_pool2d_forward(&size, values.x, y),
        }
        if let Some(function) = self.activation {
            let size = ActivationSize { samples: values.samples, features: self.features() };
            device.activation_forward(&size, function, values.y);
        }
    }

    fn backward(&self, device: &mut D, _parameters: D::View<'_, f32>, _d_parameters: D::ViewMut<'_, f32>, mut values: Backward<'_, D>) {
        let size = self.size(values.samples);
        let len = device.activation_len(values.samples, self.features());
        if let Some(function) = self.activation {
            let size = ActivationSize { samples: values.samples, features: self.features() };
            device.activation_backward(&size, function, values.y, D::slice_mut(&mut values.d_y, 0..len));
        }
        let Some(d_x) = values.d_x else { return };
        let d_y = D::shared(values.d_y);
        match self.pooling {
            Pooling::Max => device.max_pool2d_backward(&size, d_y, values.memo, d_x),
            Pooling::Average => device.average_pool2d_backward(&size, d_y, d_x),
        }
    }
}
