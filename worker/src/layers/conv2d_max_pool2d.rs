//! Convolution, 2×2 max-pooling and an activation as one layer: the convolution's own output is never stored.
//!
//! The activation comes behind the pooling, LeCun's order: for an increasing function that is the same function, and
//! it sees a quarter of the values.

use lockstep_kernels::activation::{Activation, ActivationSize};
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::conv2d_max_pool2d::{Pooled, PooledMut};
use lockstep_kernels::device::Device;

use super::conv2d::{Conv2d, tensors};
use super::{Backward, Forward, Layer, TensorShape};

/// `y = f(max_pool(x ⋆ w + b))`; parameters: weight (O, C, K, K), bias (O). Values before it (N, C, H, W), behind it
/// (N, O, ⌊H′/2⌋, ⌊W′/2⌋).
pub struct Conv2dMaxPool2d {
    /// The convolution.
    pub conv: Conv2d,
    /// f; none for the pooled values themselves.
    pub activation: Option<Activation>,
}

impl Conv2dMaxPool2d {
    fn features(&self) -> usize {
        let Conv2dSize { out_channels, .. } = self.conv.size;
        out_channels * (self.conv.size.out_height() / 2) * (self.conv.size.out_width() / 2)
    }
}

impl<D: Device> Layer<D> for Conv2dMaxPool2d {
    fn out_features(&self) -> usize {
        self.features()
    }

    fn tensors(&self) -> Vec<TensorShape> {
        tensors(&self.conv)
    }

    fn memo_features(&self) -> usize {
        self.features()
    }

    fn forward(&self, device: &mut D, parameters: D::View<'_, f32>, mut values: Forward<'_, D>) {
        let len = device.activation_len(values.samples, self.features());
        let (weight, bias) = self.conv.split::<D>(parameters);
        let y =
            PooledMut { values: D::slice_mut(&mut values.y, 0..len), choice: D::slice_mut(&mut values.memo, 0..len) };
        device.conv2d_max_pool2d_forward(&self.conv.size(values.samples), values.x, weight, bias, y);
        if let Some(function) = self.activation {
            let size = ActivationSize { samples: values.samples, features: self.features() };
            device.activation_forward(&size, function, values.y);
        }
    }

    fn backward(
        &self,
        device: &mut D,
        parameters: D::View<'_, f32>,
        d_parameters: D::ViewMut<'_, f32>,
        mut values: Backward<'_, D>,
    ) {
        let size = self.conv.size(values.samples);
        let len = device.activation_len(values.samples, self.features());
        if let Some(function) = self.activation {
            let size = ActivationSize { samples: values.samples, features: self.features() };
            device.activation_backward(&size, function, values.y, D::slice_mut(&mut values.d_y, 0..len));
        }
        let d_y = D::shared(values.d_y);
        if let Some(d_x) = values.d_x {
            let (weight, _) = self.conv.split::<D>(parameters);
            let d_y = Pooled { values: d_y, choice: values.memo };
            device.conv2d_max_pool2d_backward_input(&size, weight, d_y, d_x);
        }
        let (d_weight, d_bias) = D::split_mut(d_parameters, self.conv.weights());
        let d_y = Pooled { values: d_y, choice: values.memo };
        device.conv2d_max_pool2d_backward_weight(&size, values.x, d_y, d_weight, d_bias);
    }
}
