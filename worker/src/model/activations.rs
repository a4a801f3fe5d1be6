//! A lane's working memory: the values between layers and the two gradients in flight, planned once.

use lockstep_kernels::device::Device;

use super::Model;
use crate::layers::{Backward, Forward};

/// Values between the layers of one micro-batch, and their gradients.
pub struct Activations<D: Device> {
    /// `values[i]` lies before layer i; the last lies behind the last layer.
    values: Vec<Value<D>>,
    /// `memos[i]` is layer i's.
    memos: Vec<Memo<D>>,
    /// The gradient behind layer i is in `gradients[i % 2]`: only two are alive at a time.
    gradients: [D::Buffer<f32>; 2],
}

struct Value<D: Device> {
    features: usize,
    buffer: D::Buffer<f32>,
}

struct Memo<D: Device> {
    features: usize,
    buffer: D::Buffer<u8>,
}

impl<D: Device> Activations<D> {
    /// Memory for micro-batches of up to `samples` samples.
    pub fn new(device: &D, model: &Model<D>, samples: usize) -> Self {
        let widths =
            std::iter::once(model.input_features).chain(model.layers.iter().map(|placed| placed.layer.out_features()));
        let value = |features| Value { features, buffer: device.zeros(device.activation_len(samples, features)) };
        let values: Vec<_> = widths.map(value).collect();
        let memo = |features| Memo { features, buffer: device.zeros(device.activation_len(samples, features)) };
        let memos = model.layers.iter().map(|placed| memo(placed.layer.memo_features())).collect();
        let widest = values[1..].iter().map(|value| value.features).max().unwrap_or(0);
        let gradient = || device.zeros(device.activation_len(samples, widest));
        Self { values, memos, gradients: [gradient(), gradient()] }
    }

    /// Where the caller writes the micro-batch.
    pub fn input(&mut self, device: &D, samples: usize) -> D::ViewMut<'_, f32> {
        let len = device.activation_len(samples, self.values[0].features);
        D::view_mut(&mut self.values[0].buffer, 0..len)
    }

    /// The model's output and the place for the loss' gradient behind it.
    pub fn output(&mut self, device: &D, samples: usize) -> (D::View<'_, f32>, D::ViewMut<'_, f32>) {
        let last = self.values.len() - 1;
        let value = &self.values[last];
        let len = device.activation_len(samples, value.features);
        // Behind layer i lies gradient i % 2, and behind the last layer (index last − 1) lies value `last`.
        let d_y = D::view_mut(&mut self.gradients[(last + 1) % 2], 0..len);
        (D::view(&value.buffer, 0..len), d_y)
    }

    pub(super) fn forward(&mut self, device: &D, samples: usize, layer: usize) -> Forward<'_, D> {
        let (before, behind) = self.values.split_at_mut(layer + 1);
        let len = |features| device.activation_len(samples, features);
        let (x, y, memo) = (&before[layer], &mut behind[0], &mut self.memos[layer]);
        Forward {
            samples,
            x: D::view(&x.buffer, 0..len(x.features)),
            y: D::view_mut(&mut y.buffer, 0..len(y.features)),
            memo: D::view_mut(&mut memo.buffer, 0..len(memo.features)),
        }
    }

    pub(super) fn backward(&mut self, device: &D, samples: usize, layer: usize) -> Backward<'_, D> {
        let len = |features| device.activation_len(samples, features);
        let (x, y, memo) = (&self.values[layer], &self.values[layer + 1], &self.memos[layer]);
        let [even, odd] = &mut self.gradients;
        let (behind, before) = if layer.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        Backward {
            samples,
            x: D::view(&x.buffer, 0..len(x.features)),
            y: D::view(&y.buffer, 0..len(y.features)),
            memo: D::view(&memo.buffer, 0..len(memo.features)),
            d_y: D::view_mut(behind, 0..len(y.features)),
            d_x: (layer > 0).then(|| D::view_mut(before, 0..len(x.features))),
        }
    }
}
