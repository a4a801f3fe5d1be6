//! Networks by name.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::Pool2dSize;
use lockstep_proto::job;

use super::Model;
use crate::layers::{AveragePool2d, Conv2d, Conv2dMaxPool2d, Layer, Linear};

/// A model that doesn't fit the data.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The input is too small for the network's kernels and poolings.
    #[error("model.name: {model} needs images of at least {need}×{need} pixels; the data has {height}×{width}")]
    ImageTooSmall {
        /// The network.
        model: &'static str,
        /// Least height and width.
        need: usize,
        /// Of the data.
        height: usize,
        /// Of the data.
        width: usize,
    },
}

/// What the data looks like: shape of a sample and count of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleShape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Classes.
    pub classes: usize,
}

impl SampleShape {
    /// Values a sample.
    pub fn features(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Builds the model that a job names for samples of this shape.
///
/// # Errors
/// If the samples are too small for the network.
pub fn build<D: Device>(model: &job::Model, shape: SampleShape) -> Result<Model<D>, BuildError> {
    let layers = match model.name {
        job::ModelName::Mlp => mlp(model, shape),
        job::ModelName::Lenet5 => lenet5(model, shape)?,
    };
    Ok(Model::new(shape.features(), layers))
}

/// Linear layers `fc1`, `fc2`, …: the hidden ones with the activation, the last with the output's.
fn mlp<D: Device>(model: &job::Model, shape: SampleShape) -> Vec<Box<dyn Layer<D>>> {
    let mut widths = vec![shape.features()];
    widths.extend(model.hidden.iter().map(|width| *width as usize));
    widths.push(shape.classes);
    let last = widths.len() - 2;
    let layer = |(index, pair): (usize, &[usize])| -> Box<dyn Layer<D>> {
        let activation =
            if index < last { Some(activation(model.activation)) } else { output(model.output_activation) };
        Box::new(Linear { name: format!("fc{}", index + 1), inputs: pair[0], outputs: pair[1], activation })
    };
    widths.windows(2).enumerate().map(layer).collect()
}

/// LeNet-5's shape (LeCun et al. 1998) as it is built today: full connections in the second convolution,
/// plain pooling, linear outputs.
fn lenet5<D: Device>(model: &job::Model, shape: SampleShape) -> Result<Vec<Box<dyn Layer<D>>>, BuildError> {
    const LEAST: usize = 12;
    let SampleShape { channels, height, width, classes } = shape;
    if height < LEAST || width < LEAST {
        return Err(BuildError::ImageTooSmall { model: "lenet5", need: LEAST, height, width });
    }
    let f = activation(model.activation);
    let kernel = Conv2dSize { kernel: 5, ..Conv2dSize::PLAIN };
    let conv1 = Conv2dSize { in_channels: channels, out_channels: 6, height, width, padding: 2, ..kernel };
    let pool1 = pool_behind(&conv1);
    let (height, width) = (pool1.out_height(), pool1.out_width());
    let conv2 = Conv2dSize { in_channels: 6, out_channels: 16, height, width, ..kernel };
    let pool2 = pool_behind(&conv2);
    let features = pool2.channels * pool2.out_height() * pool2.out_width();
    let mut layers = Vec::new();
    for (name, size) in [("conv1", conv1), ("conv2", conv2)] {
        layers.extend(conv_and_pool(Conv2d { name: name.into(), size }, model.pooling, f));
    }
    for (name, inputs, outputs, activation) in
        [("fc1", features, 120, Some(f)), ("fc2", 120, 84, Some(f)), ("fc3", 84, classes, None)]
    {
        layers.push(Box::new(Linear { name: name.into(), inputs, outputs, activation }));
    }
    Ok(layers)
}

/// A convolution, 2×2 pooling and an activation: one layer where the device has the op.
fn conv_and_pool<D: Device>(conv: Conv2d, pooling: job::Pooling, f: Activation) -> Vec<Box<dyn Layer<D>>> {
    match pooling {
        job::Pooling::Max => vec![Box::new(Conv2dMaxPool2d { conv, activation: Some(f) })],
        job::Pooling::Average => {
            let pool = AveragePool2d { size: pool_behind(&conv.size), activation: Some(f) };
            vec![Box::new(conv), Box::new(pool)]
        }
    }
}

/// 2×2 pooling of a convolution's output.
fn pool_behind(conv: &Conv2dSize) -> Pool2dSize {
    Pool2dSize {
        samples: 0,
        channels: conv.out_channels,
        height: conv.out_height(),
        width: conv.out_width(),
        window: 2,
    }
}

fn activation(name: job::Activation) -> Activation {
    match name {
        job::Activation::Relu => Activation::Relu,
        job::Activation::Sigmoid => Activation::Sigmoid,
        job::Activation::Tanh => Activation::Tanh,
    }
}

fn output(name: job::OutputActivation) -> Option<Activation> {
    match name {
        job::OutputActivation::None => None,
        job::OutputActivation::Sigmoid => Some(Activation::Sigmoid),
        job::OutputActivation::Tanh => Some(Activation::Tanh),
    }
}
