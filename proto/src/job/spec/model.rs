//! `[model]` and `[loss]`: the network, and what is minimised.

use serde::{Deserialize, Serialize};

use super::Layer;

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Which network.
    pub name: ModelName,
    /// `mlp`: widths of the hidden layers.
    pub hidden: Vec<u32>,
    /// `mlp`, `lenet5`: activation function.
    pub activation: Activation,
    /// Slope of `leaky_relu` below zero.
    pub slope: f64,
    /// `mlp`: activation of the output layer.
    pub output_activation: OutputActivation,
    /// `lenet5`: kind of pooling.
    pub pooling: Pooling,
    /// `resnet20` to `resnet110`: whether there are shortcuts; without them it is the plain network of that depth.
    pub shortcuts: bool,
    /// `layers`: the network, layer by layer.
    pub layers: Vec<Layer>,
    /// Initial weights.
    pub init: Init,
    /// `init = "normal"`: standard deviation; `"constant"`: the value.
    pub init_value: f64,
    /// Whether residual blocks begin as the identity: the scale of their last normalisation is 0 at first.
    pub zero_gamma: bool,
    /// Algorithm of convolutions.
    pub convolution: Convolution,
    /// Numbers that GPUs compute in.
    pub precision: Precision,
    /// Whether the way back runs a part of the layers again instead of keeping their values: changes no result.
    pub recompute: bool,
    /// A safetensors file of initial weights, seen by all workers; empty for none.
    pub init_from: String,
    /// Its BLAKE3 in hexadecimal: what results depend on.
    pub init_blake3: String,
    /// Whether the last layer begins anew, whatever the file has of it.
    pub new_head: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: ModelName::Mlp,
            hidden: vec![300],
            activation: Activation::Relu,
            slope: 0.01,
            output_activation: OutputActivation::None,
            pooling: Pooling::Max,
            shortcuts: true,
            layers: Vec::new(),
            init: Init::Default,
            init_value: 0.01,
            zero_gamma: false,
            convolution: Convolution::Auto,
            precision: Precision::F32,
            recompute: false,
            init_from: String::new(),
            init_blake3: String::new(),
            new_head: false,
        }
    }
}

/// Networks by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelName {
    /// Fully connected layers.
    Mlp,
    /// conv 6@5×5 (padding 2), pool, conv 16@5×5, pool, 120, 84, classes.
    Lenet5,
    /// LeNet-5 as it was: 60,000 parameters, trainable sub-sampling, radial basis functions.
    #[serde(rename = "lenet5-1998")]
    Lenet5Of1998,
    /// torchvision's AlexNet.
    Alexnet,
    /// AlexNet as it was: groups, local response normalisation.
    #[serde(rename = "alexnet-2012")]
    AlexnetOf2012,
    /// VGG of 11 layers.
    Vgg11,
    /// The same with batch normalisation.
    #[serde(rename = "vgg11_bn")]
    Vgg11Bn,
    /// VGG of 16 layers.
    Vgg16,
    /// The same with batch normalisation.
    #[serde(rename = "vgg16_bn")]
    Vgg16Bn,
    /// Residual network of 18 layers.
    Resnet18,
    /// Residual network of 34 layers.
    Resnet34,
    /// Residual network of 50 layers, version 1.5.
    Resnet50,
    /// Residual network of 101 layers, version 1.5.
    Resnet101,
    /// Residual network for small images, of 20 layers.
    Resnet20,
    /// The same of 32 layers.
    Resnet32,
    /// The same of 44 layers.
    Resnet44,
    /// The same of 56 layers.
    Resnet56,
    /// The same of 110 layers.
    Resnet110,
    /// As `model.layers` lists it.
    Layers,
}

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// x above zero, slope · x below.
    LeakyRelu,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// tanh x
    Tanh,
    /// 1.7159 · tanh(2x/3)
    ScaledTanh,
}

/// Activation functions of an output layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputActivation {
    /// Linear outputs.
    None,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// tanh x
    Tanh,
    /// 1.7159 · tanh(2x/3)
    ScaledTanh,
}

/// Kinds of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The largest value.
    Max,
    /// The mean.
    Average,
}

/// How weights begin. Biases begin at 0, but for `Default` and `Lecun1998`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// As the network's paper or PyTorch has it.
    Default,
    /// Uniform in ±2.4/fan_in, biases too (LeCun et al. 1998, appendix A).
    #[serde(rename = "lecun_1998")]
    Lecun1998,
    /// Uniform of variance 1/fan_in.
    LecunUniform,
    /// Normal of variance 1/fan_in.
    LecunNormal,
    /// Uniform of variance 2/(fan_in + fan_out) (Glorot & Bengio 2010).
    XavierUniform,
    /// Normal of variance 2/(fan_in + fan_out).
    XavierNormal,
    /// Uniform of variance 2/fan_in (He et al. 2015).
    HeUniform,
    /// Normal of variance 2/fan_in.
    HeNormal,
    /// Uniform of variance 2/fan_out.
    HeUniformFanOut,
    /// Normal of variance 2/fan_out.
    HeNormalFanOut,
    /// Normal of a given standard deviation.
    Normal,
    /// All weights alike.
    Constant,
}

/// Algorithms of convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convolution {
    /// The fastest for the shape: Winograd's for 3×3 windows, direct sums for others.
    Auto,
    /// Direct sums.
    Direct,
}

/// Numbers that GPUs compute in. Parameters, statistics, sums and the optimiser's state are f32 in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// f32 throughout.
    F32,
    /// f32, of which NVIDIA's libraries round factors of large products to 10 bits of the fraction.
    Tf32,
    /// Activations and their gradients in bf16.
    Bf16,
}

/// What is minimised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loss {
    /// Which loss.
    pub name: LossName,
    /// `cross_entropy`: share of a label that goes to all classes alike.
    pub smoothing: f64,
    /// `map`: j, which bounds how far wrong outputs are pushed up.
    pub rubbish: f64,
}

impl Default for Loss {
    fn default() -> Self {
        Self { name: LossName::CrossEntropy, smoothing: 0.0, rubbish: 1.0 }
    }
}

/// Losses by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// Softmax cross-entropy.
    CrossEntropy,
    /// Mean over classes of the squared distance to the one-hot target.
    SquaredError,
    /// Mean over classes of the cross-entropy of each output's sigmoid.
    BinaryCrossEntropy,
    /// LeNet-5's maximum a posteriori loss, on outputs where smaller is better.
    Map,
}
