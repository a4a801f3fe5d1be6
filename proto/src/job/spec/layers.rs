//! `[[model.layers]]`: a network written down layer by layer.

use serde::{Deserialize, Serialize};

/// A layer, or several. Keys that its kind does not have must be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    /// Which layer.
    pub kind: LayerKind,
    /// `conv`: channels out; `linear`: outputs.
    pub channels: u32,
    /// `conv`: height and width of the kernel; poolings: of the window.
    pub kernel: u32,
    /// `conv`: pixels from one window to the next; poolings: 0 for as many as the window is wide.
    pub stride: u32,
    /// `conv`, poolings: zeros, or places that do not count, on every side.
    pub padding: u32,
    /// `conv`: pixels from one element of the kernel to the next.
    pub dilation: u32,
    /// `conv`: groups of channels that see only themselves; `group_norm`: groups of channels.
    pub groups: u32,
    /// `conv`: whether there is a bias.
    pub bias: bool,
    /// `dropout`: chance of a value to be dropped.
    pub probability: f64,
    /// `repeat`: how often.
    pub times: u32,
    /// `residual`, `repeat`: the layers inside.
    pub layers: Vec<Layer>,
}

impl Default for Layer {
    fn default() -> Self {
        Self {
            kind: LayerKind::Relu,
            channels: 0,
            kernel: 0,
            stride: 0,
            padding: 0,
            dilation: 0,
            groups: 0,
            bias: true,
            probability: 0.0,
            times: 0,
            layers: Vec::new(),
        }
    }
}

/// Kinds of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Convolution.
    Conv,
    /// Fully connected.
    Linear,
    /// Batch normalisation.
    BatchNorm,
    /// Group normalisation; one group is layer normalisation.
    GroupNorm,
    /// Local response normalisation of AlexNet.
    LocalResponseNorm,
    /// max(x, 0)
    Relu,
    /// x above zero, `model.slope` · x below.
    LeakyRelu,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// tanh x
    Tanh,
    /// 1.7159 · tanh(2x/3)
    ScaledTanh,
    /// The largest value of each window.
    MaxPool,
    /// The mean of each window.
    AveragePool,
    /// The mean of the plane.
    GlobalAveragePool,
    /// Dropout.
    Dropout,
    /// The layers inside, and what was before them added: as it is, or by a 1×1 convolution and batch normalisation
    /// where the shape changes.
    Residual,
    /// The layers inside, several times.
    Repeat,
}
