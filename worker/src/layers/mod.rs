//! Layers: forward and backward side by side, over the ops of a device.
//!
//! On a sample's path a layer turns the values before it into the values behind it, and on the way back the
//! gradient behind it into the gradient before it and the gradient of its own parameters.

mod average_pool2d;
mod conv2d;
mod conv2d_max_pool2d;
mod linear;

use lockstep_kernels::device::Device;

pub use average_pool2d::AveragePool2d;
pub use conv2d::Conv2d;
pub use conv2d_max_pool2d::Conv2dMaxPool2d;
pub use linear::Linear;

/// A parameter tensor of a layer, as PyTorch names and shapes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// Name within the model, e.g. `fc1.weight`.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Values that feed one output: the bound of the initial weights is `1/√fan_in`.
    pub fan_in: usize,
}

impl TensorShape {
    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The values that a layer reads and writes on the way forward.
pub struct Forward<'a, D: Device> {
    /// Samples in the micro-batch.
    pub samples: usize,
    /// Values before the layer.
    pub x: D::View<'a, f32>,
    /// Values behind it, overwritten.
    pub y: D::ViewMut<'a, f32>,
    /// What the layer notes for its backward pass, see [`Layer::memo_features`].
    pub memo: D::ViewMut<'a, u8>,
}

/// The values that a layer reads and writes on the way back.
pub struct Backward<'a, D: Device> {
    /// Samples in the micro-batch.
    pub samples: usize,
    /// Values before the layer.
    pub x: D::View<'a, f32>,
    /// Values behind it.
    pub y: D::View<'a, f32>,
    /// What the forward pass noted.
    pub memo: D::View<'a, u8>,
    /// Gradient behind the layer; may be overwritten.
    pub d_y: D::ViewMut<'a, f32>,
    /// Gradient before the layer, overwritten; the first layer has none.
    pub d_x: Option<D::ViewMut<'a, f32>>,
}

/// A layer of a static graph.
pub trait Layer<D: Device>: Send + Sync {
    /// Values a sample behind the layer.
    fn out_features(&self) -> usize;

    /// Parameter tensors, in the order in which they lie in the layer's part of the flat vector.
    fn tensors(&self) -> Vec<TensorShape>;

    /// Values a sample that the layer's memo needs.
    fn memo_features(&self) -> usize {
        0
    }

    /// Overwrites `y`. `parameters`: the layer's own part of the flat vector.
    fn forward(&self, device: &mut D, parameters: D::View<'_, f32>, values: Forward<'_, D>);

    /// Overwrites `d_x` and `d_parameters`, the layer's own part of the gradient vector.
    fn backward(
        &self,
        device: &mut D,
        parameters: D::View<'_, f32>,
        d_parameters: D::ViewMut<'_, f32>,
        values: Backward<'_, D>,
    );
}
