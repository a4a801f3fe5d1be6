//! Layers: forward and backward side by side, over the ops of a device.
//!
//! On a sample's path a layer turns the values before it into the value behind it, and on the way back the gradient
//! behind it into the gradients before it and the gradient of its own parameters.

mod activation;
mod adaptive_average_pool2d;
mod add;
mod average_pool2d;
mod batch_norm;
mod concatenate;
mod conv2d;
mod conv2d_max_pool2d;
mod dropout;
mod group_norm;
mod linear;
mod local_response_norm;
mod max_pool2d;
mod pad_channels;
mod partial_conv2d;
mod radial_basis;
mod subsample2d;
mod tangent;
mod tensor;

use lockstep_kernels::conv2d::{Accumulation, Conv2dSize};
use lockstep_kernels::device::Device;

pub use activation::Activation;
pub use adaptive_average_pool2d::AdaptiveAveragePool2d;
pub use add::Add;
pub use average_pool2d::AveragePool2d;
pub use batch_norm::BatchNorm;
pub use concatenate::Concatenate;
pub use conv2d::Conv2d;
pub use conv2d_max_pool2d::Conv2dMaxPool2d;
pub use dropout::Dropout;
pub use group_norm::GroupNorm;
pub use linear::Linear;
pub use local_response_norm::LocalResponseNorm;
pub use max_pool2d::MaxPool2d;
pub use pad_channels::PadChannels;
pub use partial_conv2d::PartialConv2d;
pub use radial_basis::RadialBasis;
pub use subsample2d::Subsample2d;
pub use tangent::{Spare, SpareMut, Tangent, TangentBack, TangentGradient};
pub use tensor::{Role, TensorShape};

/// Most values that a layer reads.
pub const MAX_INPUTS: usize = 4;

/// What a micro-batch has beside its values.
pub struct MicroBatch<'a, D: Device> {
    /// Samples, N.
    pub samples: usize,
    /// Random numbers, the same in all passes of a step: for each of the model's streams one for each sample.
    pub keys: D::View<'a, u64>,
}

impl<D: Device> Clone for MicroBatch<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Device> Copy for MicroBatch<'_, D> {}

impl<'a, D: Device> MicroBatch<'a, D> {
    /// The same for as long as is wanted.
    pub fn reborrow<'short>(self) -> MicroBatch<'short, D>
    where
        'a: 'short,
    {
        MicroBatch { samples: self.samples, keys: D::reborrow(self.keys) }
    }

    /// One stream's numbers.
    pub fn keys_of(&self, stream: usize) -> D::View<'a, u64> {
        D::slice(self.keys, stream * self.samples..(stream + 1) * self.samples)
    }
}

/// The tensors of one layer.
pub struct Own<'a, D: Device> {
    /// Its part of the flat parameter vector.
    pub parameters: D::View<'a, f32>,
    /// Its part of the running statistics.
    pub statistics: D::View<'a, f32>,
}

/// What a pass is for.
pub enum Mode<'a, D: Device> {
    /// Training: the layer writes this micro-batch's statistics times its count of samples here, so that they can be
    /// summed over lanes like gradients.
    Train(D::ViewMut<'a, f32>),
    /// Evaluation: running statistics instead of the micro-batch's, no dropout.
    Evaluate,
}

/// The values that a layer reads, in the order in which the model lists them.
pub struct Inputs<'a, D: Device>([Option<D::View<'a, f32>>; MAX_INPUTS]);

impl<'a, D: Device> Inputs<'a, D> {
    /// Of these values; the first that is none ends the list.
    pub fn new(views: [Option<D::View<'a, f32>>; MAX_INPUTS]) -> Self {
        Self(views)
    }

    /// The only value before the layer, or the first.
    pub fn x(&self) -> D::View<'a, f32> {
        self.get(0)
    }

    /// One of them.
    ///
    /// # Panics
    /// If the model gave fewer.
    pub fn get(&self, index: usize) -> D::View<'a, f32> {
        self.0[index].expect("a layer has the inputs that the model was built with")
    }

    /// One of them, if there are so many.
    pub fn optional(&self, index: usize) -> Option<D::View<'a, f32>> {
        self.0[index]
    }
}

/// What a layer reads and writes on the way forward.
pub struct Forward<'a, D: Device> {
    /// The micro-batch.
    pub batch: MicroBatch<'a, D>,
    /// Its tensors.
    pub own: Own<'a, D>,
    /// Training or evaluation.
    pub mode: Mode<'a, D>,
    /// Values before the layer.
    pub inputs: Inputs<'a, D>,
    /// Value behind it, overwritten.
    pub y: D::ViewMut<'a, f32>,
    /// What the layer notes for its backward pass, see [`Memo`].
    pub choices: D::ViewMut<'a, u8>,
    /// The same.
    pub moments: D::ViewMut<'a, f32>,
}

/// The gradient of a value before a layer.
pub struct Gradient<'a, D: Device> {
    /// Its elements.
    pub d_x: D::ViewMut<'a, f32>,
    /// Whether another layer that reads the value has written its share, to which this layer's is added.
    pub accumulation: Accumulation,
}

/// What a layer reads and writes on the way back.
pub struct Backward<'a, D: Device> {
    /// The micro-batch.
    pub batch: MicroBatch<'a, D>,
    /// Its tensors.
    pub own: Own<'a, D>,
    /// Gradient of its parameters, overwritten.
    pub d_parameters: D::ViewMut<'a, f32>,
    /// Values before the layer, where [`Layer::keeps`] asks for them.
    pub inputs: Inputs<'a, D>,
    /// Value behind it, where [`Layer::keeps`] asks for it.
    pub y: Option<D::View<'a, f32>>,
    /// What the forward pass noted.
    pub choices: D::View<'a, u8>,
    /// The same; may be overwritten.
    pub moments: D::ViewMut<'a, f32>,
    /// Gradient behind the layer; may be overwritten.
    pub d_y: D::ViewMut<'a, f32>,
    /// Gradients before the layer; none for values that need none, such as the samples.
    pub d_x: [Option<Gradient<'a, D>>; MAX_INPUTS],
}

/// What a layer reads and writes on the way back of second derivatives: the diagonal of the Gauss–Newton matrix, by one
/// recursion from layer to layer that leaves out all that is off the diagonal (LeCun et al. 1998, appendix C). Linear
/// maps pass squares on, `h_x = Σ w²·h_y` and `h_w = Σ x²·h_y`; activations `h_x = f′²·h_y`.
pub struct Curvature<'a, D: Device> {
    /// As on the way back of gradients, with second derivatives in their places.
    pub back: Backward<'a, D>,
    /// The gradient behind the model's last layer; others have none.
    pub slope: Option<D::View<'a, f32>>,
    /// Memory for squares, as [`Layer::squares`] asks for it.
    pub squares: SquaresMut<'a, D>,
}

/// Memory that a layer needs on the way back of second derivatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Squares {
    /// Elements for parameters.
    pub parameters: usize,
    /// Values a sample.
    pub features: usize,
}

/// The memory itself, of any content.
pub struct SquaresMut<'a, D: Device> {
    /// For parameters.
    pub parameters: D::ViewMut<'a, f32>,
    /// For values, as an activation.
    pub values: D::ViewMut<'a, f32>,
}

/// Sizes of what a layer notes on the way forward for the way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memo {
    /// Bytes a sample.
    pub choices: usize,
    /// Numbers a micro-batch.
    pub moments: usize,
    /// Numbers a sample; not beside `moments`.
    pub sample_moments: usize,
}

impl Memo {
    /// Whether nothing is noted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Numbers for a micro-batch of one sample.
    pub fn numbers(&self) -> usize {
        self.moments + self.sample_moments
    }

    /// Bytes for a micro-batch.
    pub fn choices_len<D: Device>(&self, device: &D, samples: usize) -> usize {
        device.note_len(samples, self.choices)
    }

    /// Elements of the numbers for a micro-batch.
    pub fn moments_len<D: Device>(&self, device: &D, samples: usize) -> usize {
        self.moments + device.note_len(samples, self.sample_moments)
    }
}

/// Which values a layer reads on the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeps {
    /// Those before it.
    pub inputs: bool,
    /// The one behind it.
    pub y: bool,
}

/// A layer of a static graph.
pub trait Layer<D: Device>: Send + Sync {
    /// Parameter tensors, in the order in which they lie in the layer's part of the flat vector.
    fn parameters(&self) -> Vec<TensorShape> {
        Vec::new()
    }

    /// Tensors of running statistics, in the same manner.
    fn statistics(&self) -> Vec<TensorShape> {
        Vec::new()
    }

    /// What it notes on the way forward.
    fn memo(&self) -> Memo {
        Memo::default()
    }

    /// What it reads on the way back.
    fn keeps(&self) -> Keeps;

    /// The input whose gradient `d_y` is, as the layer leaves it, if any is. That input's place in
    /// [`Backward::d_x`] is empty then.
    fn passes_on(&self) -> Option<usize> {
        None
    }

    /// Whether it can add to a gradient; else it only overwrites.
    fn adds(&self) -> bool {
        false
    }

    /// Multiplications and additions for a sample on the way forward.
    fn operations(&self) -> u64 {
        0
    }

    /// The convolution that it computes with, without samples, if it has one.
    fn convolution(&self) -> Option<Conv2dSize> {
        None
    }

    /// Whether, in evaluation, it divides by what its input comes to, so that no spectral norm bounds it.
    fn divides_by_input(&self) -> bool {
        false
    }

    /// Overwrites `y`.
    fn forward(&self, device: &mut D, pass: Forward<'_, D>);

    /// Overwrites `d_parameters`, and writes `d_x`.
    fn backward(&self, device: &mut D, pass: Backward<'_, D>);

    /// What [`Layer::curvature`] needs; none for a layer that has no such pass. Models with such a layer are refused
    /// where second derivatives are wanted.
    fn squares(&self) -> Option<Squares> {
        None
    }

    /// As [`Layer::backward`], with second derivatives.
    fn curvature(&self, _device: &mut D, _pass: Curvature<'_, D>) {
        unreachable!("a model is asked for its second derivatives only if all of its layers have them");
    }

    /// What its passes of tangents need; none for a layer that has none. Products of models with such a layer are by
    /// differences of gradients.
    fn tangents(&self) -> Option<Spare> {
        None
    }

    /// Overwrites `r_y`, the tangent of the value behind the layer.
    fn tangent_forward(&self, _device: &mut D, _at: Tangent<'_, D>, _r_y: D::ViewMut<'_, f32>) {
        unreachable!("a model is asked for tangents only if all of its layers have them");
    }

    /// As [`Layer::backward`], with the tangents of gradients beside them, and of the parameters' gradient that alone.
    fn tangent_backward(&self, _device: &mut D, _pass: TangentBack<'_, D>) {
        unreachable!("a model is asked for tangents only if all of its layers have them");
    }
}
