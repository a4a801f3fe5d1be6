//! Networks that a job file lists layer by layer.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Algorithm;
use lockstep_kernels::device::Device;
use lockstep_kernels::group_norm::GroupNormSize;
use lockstep_proto::job::{self, Layer, LayerKind};

use super::SampleShape;
use crate::layers;
use crate::model::parts::{Behind, Conv, Pool};
use crate::model::{BuildError, Builder, Model, Shape, ValueId};

/// PyTorch's ε of group norm.
const GROUP_NORM_EPSILON: f32 = 1e-5;
/// PyTorch's defaults of local response norm, with AlexNet's size.
const LOCAL_RESPONSE_NORM: (usize, f32, f32, f32) = (5, 1e-4, 0.75, 1.0);

/// Layers `layers.0`, `layers.1`, …; those inside a residual block `layers.1.0` and so on. The last must have as many
/// outputs as there are classes.
pub(super) fn build<D: Device>(
    model: &job::Model,
    shape: SampleShape,
    convolution: Algorithm,
) -> Result<Model<D>, BuildError> {
    let mut list = List { net: Builder::new(shape.image(), convolution), slope: model.slope as f32 };
    let value = list.net.input();
    let output = list.layers(&unrolled(&model.layers), "layers", value)?;
    let behind = list.net.shape(output);
    if behind.features() != shape.classes {
        let wanted = format!("{} values for as many classes", shape.classes);
        return Err(BuildError::misfit("(output)", wanted, behind));
    }
    Ok(list.net.finish())
}

/// The layers with those of each `repeat` as often as it says.
fn unrolled(layers: &[Layer]) -> Vec<&Layer> {
    let mut all = Vec::new();
    for layer in layers {
        match layer.kind {
            LayerKind::Repeat => (0..layer.times).for_each(|_| all.extend(unrolled(&layer.layers))),
            _ => all.push(layer),
        }
    }
    all
}

struct List<D: Device> {
    net: Builder<D>,
    slope: f32,
}

impl<D: Device> List<D> {
    /// Adds layers behind a value; gives the value behind the last.
    fn layers(&mut self, layers: &[&Layer], path: &str, before: ValueId) -> Result<ValueId, BuildError> {
        self.layers_and(layers, path, before, Behind::NOTHING)
    }

    /// The same with something behind the last of them, which goes into the same pass where that is a batch norm.
    fn layers_and(
        &mut self,
        layers: &[&Layer],
        path: &str,
        before: ValueId,
        last: Behind,
    ) -> Result<ValueId, BuildError> {
        let (mut value, mut index, mut fused) = (before, 0, false);
        while let Some(layer) = layers.get(index) {
            let relu = layers.get(index + 1).is_some_and(|next| next.kind == LayerKind::Relu);
            fused = index + 1 == layers.len() && layer.kind == LayerKind::BatchNorm;
            let with_relu = relu && matches!(layer.kind, LayerKind::Conv | LayerKind::BatchNorm | LayerKind::Residual);
            let behind = match (fused, with_relu) {
                (true, _) => last,
                (false, true) => Behind::RELU,
                (false, false) => Behind::NOTHING,
            };
            value = self.layer(layer, &format!("{path}.{index}"), value, behind)?;
            // A ReLU in the same pass keeps its number.
            index += if with_relu { 2 } else { 1 };
        }
        if fused { Ok(value) } else { self.behind(path, value, last) }
    }

    /// What could not go into a normalisation's pass.
    fn behind(&mut self, name: &str, value: ValueId, behind: Behind) -> Result<ValueId, BuildError> {
        match behind.residual {
            Some(other) => self.net.add(&format!("{name}.add"), value, other, behind.relu),
            None if behind.relu => Ok(self.net.activation(&format!("{name}.relu"), value, Activation::Relu)),
            None => Ok(value),
        }
    }

    /// Adds one layer. `behind`: only for a batch norm or a residual block, and a ReLU for a convolution.
    fn layer(&mut self, layer: &Layer, name: &str, value: ValueId, behind: Behind) -> Result<ValueId, BuildError> {
        let pool = Pool {
            window: layer.kernel as usize,
            stride: if layer.stride == 0 { layer.kernel } else { layer.stride } as usize,
            padding: layer.padding as usize,
        };
        let net = &mut self.net;
        Ok(match layer.kind {
            LayerKind::BatchNorm => net.batch_norm(name, value, behind),
            LayerKind::Residual => self.residual(layer, name, value, behind.relu)?,
            LayerKind::Conv => net.conv(name, value, Conv { relu: behind.relu, ..conv(layer) })?,
            LayerKind::Linear => net.linear(name, value, layer.channels as usize, None),
            LayerKind::GroupNorm => group_norm(net, layer, name, value)?,
            LayerKind::LocalResponseNorm => net.local_response_norm(name, value, LOCAL_RESPONSE_NORM),
            LayerKind::Relu => net.activation(name, value, Activation::Relu),
            LayerKind::LeakyRelu => net.activation(name, value, Activation::LeakyRelu { slope: self.slope }),
            LayerKind::Sigmoid => net.activation(name, value, Activation::Sigmoid),
            LayerKind::Tanh => net.activation(name, value, Activation::Tanh),
            LayerKind::ScaledTanh => net.activation(name, value, Activation::ScaledTanh),
            LayerKind::MaxPool => net.max_pool(name, value, pool)?,
            LayerKind::AveragePool => net.average_pool(name, value, pool)?,
            LayerKind::GlobalAveragePool => net.adaptive_average_pool(name, value, 1),
            LayerKind::Dropout => net.dropout(name, value, layer.probability as f32),
            // Unrolled before.
            LayerKind::Repeat => value,
        })
    }

    /// A residual block, with a projection where the shape changes.
    fn residual(&mut self, layer: &Layer, name: &str, before: ValueId, relu: bool) -> Result<ValueId, BuildError> {
        let inside = unrolled(&layer.layers);
        let strides = inside.iter().map(|layer| if layer.stride == 0 { 1 } else { layer.stride as usize }).product();
        let channels = inside.iter().rev().find(|layer| layer.kind == LayerKind::Conv);
        let channels = channels.map_or(self.net.shape(before).channels, |conv| conv.channels as usize);
        let shortcut = match (self.net.shape(before).channels == channels, strides) {
            (true, 1) => before,
            _ => {
                let projected = self.net.conv(&format!("{name}.shortcut.0"), before, Conv::one(channels, strides))?;
                self.net.batch_norm(&format!("{name}.shortcut.1"), projected, Behind::NOTHING)
            }
        };
        self.layers_and(&inside, name, before, Behind { residual: Some(shortcut), relu, ends_block: true })
    }
}

fn conv(layer: &Layer) -> Conv {
    let or_one = |value: u32| value.max(1) as usize;
    Conv {
        channels: layer.channels as usize,
        kernel: layer.kernel as usize,
        stride: or_one(layer.stride),
        padding: layer.padding as usize,
        dilation: or_one(layer.dilation),
        groups: or_one(layer.groups),
        bias: layer.bias,
        relu: false,
    }
}

fn group_norm<D: Device>(
    net: &mut Builder<D>,
    layer: &Layer,
    name: &str,
    value: ValueId,
) -> Result<ValueId, BuildError> {
    let shape = net.shape(value);
    let Shape { channels, height, width } = shape;
    let groups = layer.groups.max(1) as usize;
    if !channels.is_multiple_of(groups) {
        return Err(BuildError::misfit(name, format!("channels that {groups} groups divide"), shape));
    }
    let size = GroupNormSize { samples: 0, channels, groups, plane: height * width, epsilon: GROUP_NORM_EPSILON };
    Ok(net.layer(name, &[value], layers::GroupNorm { name: name.into(), size, ends_block: false }, shape))
}
