//! The layers that networks are made of, each checked against the shape before it.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::batch_norm::BatchNormSize;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::device::Device;
use lockstep_kernels::dropout::DropoutSize;
use lockstep_kernels::local_response_norm::LocalResponseNormSize;
use lockstep_kernels::pool2d::{AdaptivePool2dSize, Pool2dSize};

use super::{BuildError, Builder, Shape, ValueId};
use crate::layers;

/// ε of every batch normalisation: PyTorch's.
pub(crate) const BATCH_NORM_EPSILON: f32 = 1e-5;
/// Largest window of a pooling.
const MAX_WINDOW: usize = 16;

/// A convolution's own sizes; its input's come from the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Channels out.
    pub channels: usize,
    /// Kernel height and width.
    pub kernel: usize,
    /// Rows and columns from one window to the next.
    pub stride: usize,
    /// Zeros on every side.
    pub padding: usize,
    /// Rows and columns between a kernel's places.
    pub dilation: usize,
    /// Groups of channels that are not connected to each other.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// Whether a ReLU comes behind it, in one pass with it.
    pub relu: bool,
}

impl Conv {
    /// A square kernel over all channels, stride 1, no padding, with a bias.
    pub fn new(channels: usize, kernel: usize) -> Self {
        Self { channels, kernel, stride: 1, padding: 0, dilation: 1, groups: 1, bias: true, relu: false }
    }

    /// 3×3 with one zero on every side, without a bias: normalisation follows.
    pub fn three(channels: usize, stride: usize) -> Self {
        Self { stride, padding: 1, bias: false, ..Self::new(channels, 3) }
    }

    /// 1×1 without a bias.
    pub fn one(channels: usize, stride: usize) -> Self {
        Self { stride, bias: false, ..Self::new(channels, 1) }
    }
}

/// A pooling's own sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Window height and width.
    pub window: usize,
    /// Rows and columns from one window to the next.
    pub stride: usize,
    /// Places around the input.
    pub padding: usize,
}

/// What comes behind a normalisation, in one pass with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// A value that is added.
    pub residual: Option<ValueId>,
    /// Whether a ReLU comes last.
    pub relu: bool,
    /// The normalisation is the last of a residual block.
    pub ends_block: bool,
}

impl Behind {
    /// A ReLU.
    pub const RELU: Self = Self { residual: None, relu: true, ends_block: false };
    /// Nothing.
    pub const NOTHING: Self = Self { residual: None, relu: false, ends_block: false };
}

impl<D: Device> Builder<D> {
    /// A convolution.
    ///
    /// # Errors
    /// If groups don't divide the channels, or the kernel is larger than the padded plane.
    pub fn conv(&mut self, name: &str, value: ValueId, conv: Conv) -> Result<ValueId, BuildError> {
        let shape = self.shape(value);
        let Conv { channels, kernel, stride, padding, dilation, groups, bias, relu } = conv;
        if !shape.channels.is_multiple_of(groups) || !channels.is_multiple_of(groups) {
            let wanted = format!("channels in and out ({channels}) that {groups} groups divide");
            return Err(BuildError::misfit(name, wanted, shape));
        }
        let reach = dilation * (kernel - 1) + 1;
        if shape.height.min(shape.width) + 2 * padding < reach {
            let least = reach - 2 * padding;
            return Err(BuildError::misfit(name, format!("planes of at least {least}×{least}"), shape));
        }
        let size = Conv2dSize {
            samples: 0,
            in_channels: shape.channels,
            out_channels: channels,
            height: shape.height,
            width: shape.width,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            convolution: self.convolution(),
        };
        let behind = Shape { channels, height: size.out_height(), width: size.out_width() };
        Ok(self.layer(name, &[value], layers::Conv2d { name: name.into(), size, bias, relu }, behind))
    }

    /// Batch normalisation.
    pub fn batch_norm(&mut self, name: &str, value: ValueId, behind: Behind) -> ValueId {
        let shape = self.shape(value);
        let (channels, plane) = (shape.channels, shape.plane());
        let size = BatchNormSize { samples: 0, channels, plane, epsilon: BATCH_NORM_EPSILON, relu: behind.relu };
        let residual = behind.residual.is_some();
        let layer = layers::BatchNorm { name: name.into(), size, residual, ends_block: behind.ends_block };
        match behind.residual {
            Some(other) => self.layer(name, &[value, other], layer, shape),
            None => self.layer(name, &[value], layer, shape),
        }
    }

    /// An activation function.
    pub fn activation(&mut self, name: &str, value: ValueId, function: Activation) -> ValueId {
        let shape = self.shape(value);
        let layer = layers::Activation { function, features: shape.features() };
        self.layer(name, &[value], layer, shape)
    }

    /// A fully connected layer over all features.
    pub fn linear(&mut self, name: &str, value: ValueId, outputs: usize, activation: Option<Activation>) -> ValueId {
        let shape = self.shape(value);
        let (inputs, plane) = (shape.features(), shape.plane());
        let layer = layers::Linear { name: name.into(), inputs, plane, outputs, activation };
        self.layer(name, &[value], layer, Shape::flat(outputs))
    }

    /// The largest value of each window.
    ///
    /// # Errors
    /// If the window is larger than the padded plane.
    pub fn max_pool(&mut self, name: &str, value: ValueId, pool: Pool) -> Result<ValueId, BuildError> {
        let (size, shape) = self.pool(name, value, pool)?;
        Ok(self.layer(name, &[value], layers::MaxPool2d { size }, shape))
    }

    /// The mean of each window.
    ///
    /// # Errors
    /// If the window is larger than the padded plane.
    pub fn average_pool(&mut self, name: &str, value: ValueId, pool: Pool) -> Result<ValueId, BuildError> {
        let (size, shape) = self.pool(name, value, pool)?;
        Ok(self.layer(name, &[value], layers::AveragePool2d { size, activation: None }, shape))
    }

    fn pool(&self, name: &str, value: ValueId, pool: Pool) -> Result<(Pool2dSize, Shape), BuildError> {
        let shape = self.shape(value);
        let Shape { channels, height, width } = shape;
        let Pool { window, stride, padding } = pool;
        if !(1..=MAX_WINDOW).contains(&window) || stride == 0 || 2 * padding > window {
            let wanted = format!("a window of 1 to {MAX_WINDOW}, a stride above 0 and a padding of at most half of it");
            return Err(BuildError::Misfit { layer: name.into(), wanted, got: format!("{pool:?}") });
        }
        if height.min(width) + 2 * padding < window {
            let least = window - 2 * padding;
            return Err(BuildError::misfit(name, format!("planes of at least {least}×{least}"), shape));
        }
        let size = Pool2dSize { samples: 0, channels, height, width, window, stride, padding };
        let behind = Shape { channels, height: size.out_height(), width: size.out_width() };
        Ok((size, behind))
    }

    /// The mean over a grid of cells, `side` in each direction.
    pub fn adaptive_average_pool(&mut self, name: &str, value: ValueId, side: usize) -> ValueId {
        let Shape { channels, height, width } = self.shape(value);
        if (height, width) == (side, side) {
            return value;
        }
        let size = AdaptivePool2dSize { samples: 0, channels, height, width, out_height: side, out_width: side };
        let behind = Shape { channels, height: side, width: side };
        self.layer(name, &[value], layers::AdaptiveAveragePool2d { size }, behind)
    }

    /// Dropout of this probability.
    pub fn dropout(&mut self, name: &str, value: ValueId, probability: f32) -> ValueId {
        let shape = self.shape(value);
        let stream = self.next_stream();
        let size = DropoutSize { samples: 0, features: shape.features(), plane: shape.plane(), probability };
        self.layer(name, &[value], layers::Dropout { size, stream }, shape)
    }

    /// Local response normalisation; `alpha` is divided by the size.
    pub fn local_response_norm(
        &mut self,
        name: &str,
        value: ValueId,
        (size, alpha, beta, k): (usize, f32, f32, f32),
    ) -> ValueId {
        let shape = self.shape(value);
        let (channels, plane) = (shape.channels, shape.plane());
        let size = LocalResponseNormSize { samples: 0, channels, plane, size, alpha, beta, k };
        self.layer(name, &[value], layers::LocalResponseNorm { size }, shape)
    }

    /// The sum of two values of one shape.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn add(&mut self, name: &str, a: ValueId, b: ValueId, relu: bool) -> Result<ValueId, BuildError> {
        let (shape, other) = (self.shape(a), self.shape(b));
        if shape != other {
            return Err(BuildError::misfit(name, format!("two values of one shape, the first is {shape}"), other));
        }
        Ok(self.layer(name, &[a, b], layers::Add { features: shape.features(), relu }, shape))
    }

    /// The identity shortcut of He et al. 2016 (option A): every `stride`-th row and column, and zeros for channels
    /// that are not there, half of them before and half behind.
    ///
    /// # Errors
    /// If there would be fewer channels.
    pub fn identity_shortcut(
        &mut self,
        name: &str,
        value: ValueId,
        channels: usize,
        stride: usize,
    ) -> Result<ValueId, BuildError> {
        let mut value = value;
        if stride > 1 {
            value = self.average_pool(&format!("{name}.stride"), value, Pool { window: 1, stride, padding: 0 })?;
        }
        let shape = self.shape(value);
        if channels < shape.channels {
            return Err(BuildError::misfit(name, format!("at most {channels} channels"), shape));
        }
        if channels == shape.channels {
            return Ok(value);
        }
        let before = (channels - shape.channels) / 2;
        let behind = Shape { channels, ..shape };
        let layer = layers::PadChannels { before, shape, channels };
        Ok(self.layer(&format!("{name}.pad"), &[value], layer, behind))
    }
}
