//! `[model]` and `[loss]`: the network, and what is minimised.

use serde::{Deserialize, Serialize};

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Which network.
    pub name: ModelName,
    /// `mlp`: widths of the hidden layers.
    pub hidden: Vec<u32>,
    /// Activation function.
    pub activation: Activation,
    /// `mlp`: activation of the output layer.
    pub output_activation: OutputActivation,
    /// `lenet5`: kind of pooling.
    pub pooling: Pooling,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: ModelName::Mlp,
            hidden: vec![300],
            activation: Activation::Relu,
            output_activation: OutputActivation::None,
            pooling: Pooling::Max,
        }
    }
}

/// Networks by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    /// Fully connected layers.
    Mlp,
    /// conv 6@5×5 (padding 2), pool, conv 16@5×5, pool, 120, 84, classes.
    Lenet5,
}

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// tanh x
    Tanh,
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

/// What is minimised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loss {
    /// Which loss.
    pub name: LossName,
}

impl Default for Loss {
    fn default() -> Self {
        Self { name: LossName::CrossEntropy }
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
}
