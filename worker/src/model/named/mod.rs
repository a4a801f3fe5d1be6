//! Networks by name.

mod alexnet;
mod cifar_resnet;
mod lenet5;
mod lenet5_1998;
mod list;
mod mlp;
mod resnet;
mod vgg;

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Algorithm;
use lockstep_kernels::device::Device;
use lockstep_proto::job::{self, ModelName};

use super::initial::Default;
use super::{BuildError, Model, Shape};
use resnet::Stages;

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

    fn image(&self) -> Shape {
        Shape { channels: self.channels, height: self.height, width: self.width }
    }
}

/// Builds the model that a job names for samples of this shape.
///
/// # Errors
/// If the samples are too small for the network.
pub fn build<D: Device>(model: &job::Model, shape: SampleShape) -> Result<Model<D>, BuildError> {
    let network = network(model, shape)?;
    Ok(if model.recompute { network.recomputing() } else { network })
}

fn network<D: Device>(model: &job::Model, shape: SampleShape) -> Result<Model<D>, BuildError> {
    let convolution = match model.convolution {
        job::Convolution::Auto => Algorithm::Auto,
        job::Convolution::Direct => Algorithm::Direct,
    };
    let resnet = |stages| resnet::build(&stages, shape, convolution);
    let vgg = |stages, normed| vgg::build(stages, normed, shape, convolution);
    let small = |blocks| cifar_resnet::build(blocks, model.shortcuts, shape, convolution);
    match model.name {
        ModelName::Mlp => Ok(mlp::build(model, shape)),
        ModelName::Lenet5 => lenet5::build(model, shape),
        ModelName::Lenet5Of1998 => lenet5_1998::build(shape, convolution),
        ModelName::Alexnet => alexnet::build(shape, convolution),
        ModelName::AlexnetOf2012 => alexnet::build_2012(shape, convolution),
        ModelName::Vgg11 => vgg(vgg::VGG11, false),
        ModelName::Vgg11Bn => vgg(vgg::VGG11, true),
        ModelName::Vgg16 => vgg(vgg::VGG16, false),
        ModelName::Vgg16Bn => vgg(vgg::VGG16, true),
        ModelName::Resnet18 => resnet(Stages::RESNET18),
        ModelName::Resnet34 => resnet(Stages::RESNET34),
        ModelName::Resnet50 => resnet(Stages::RESNET50),
        ModelName::Resnet101 => resnet(Stages::RESNET101),
        ModelName::Resnet20 => small(3),
        ModelName::Resnet32 => small(5),
        ModelName::Resnet44 => small(7),
        ModelName::Resnet56 => small(9),
        ModelName::Resnet110 => small(18),
        ModelName::Layers => list::build(model, shape, convolution),
    }
}

/// How a network begins where the job does not say.
pub(super) fn default_init(name: ModelName) -> Default {
    match name {
        ModelName::Mlp | ModelName::Lenet5 | ModelName::Alexnet => Default::UniformByFanIn,
        ModelName::Lenet5Of1998 => Default::Lecun1998,
        ModelName::AlexnetOf2012 => Default::Alexnet2012,
        ModelName::Vgg11 | ModelName::Vgg11Bn | ModelName::Vgg16 | ModelName::Vgg16Bn => Default::Vgg,
        ModelName::Resnet18 | ModelName::Resnet34 | ModelName::Resnet50 | ModelName::Resnet101 => Default::Resnet,
        ModelName::Resnet20
        | ModelName::Resnet32
        | ModelName::Resnet44
        | ModelName::Resnet56
        | ModelName::Resnet110 => Default::HeNormal,
        ModelName::Layers => Default::UniformByFanIn,
    }
}

fn activation(model: &job::Model) -> Activation {
    match model.activation {
        job::Activation::Relu => Activation::Relu,
        job::Activation::LeakyRelu => Activation::LeakyRelu { slope: model.slope as f32 },
        job::Activation::Sigmoid => Activation::Sigmoid,
        job::Activation::Tanh => Activation::Tanh,
        job::Activation::ScaledTanh => Activation::ScaledTanh,
    }
}
