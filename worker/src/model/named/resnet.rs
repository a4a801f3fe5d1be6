//! Residual networks for images of ImageNet's size (He et al. 2016), as torchvision builds them: version 1.5, whose
//! bottlenecks have their stride at the 3×3 convolution.

use lockstep_kernels::conv2d::Algorithm;
use lockstep_kernels::device::Device;

use super::SampleShape;
use crate::model::parts::{Behind, Conv, Pool};
use crate::model::{BuildError, Builder, Model, ValueId};

/// Blocks of each of the four stages, and what they are made of.
pub(super) struct Stages {
    blocks: [usize; 4],
    bottleneck: bool,
}

impl Stages {
    pub(super) const RESNET18: Self = Self { blocks: [2, 2, 2, 2], bottleneck: false };
    pub(super) const RESNET34: Self = Self { blocks: [3, 4, 6, 3], bottleneck: false };
    pub(super) const RESNET50: Self = Self { blocks: [3, 4, 6, 3], bottleneck: true };
    pub(super) const RESNET101: Self = Self { blocks: [3, 4, 23, 3], bottleneck: true };

    /// Channels behind a block over those inside it.
    fn expansion(&self) -> usize {
        if self.bottleneck { 4 } else { 1 }
    }
}

/// `conv1`, `bn1`, `layer1.0` … `layer4.n`, `fc`.
pub(super) fn build<D: Device>(
    stages: &Stages,
    shape: SampleShape,
    convolution: Algorithm,
) -> Result<Model<D>, BuildError> {
    let mut net = Builder::new(shape.image(), convolution);
    let stem = Conv { stride: 2, padding: 3, bias: false, ..Conv::new(64, 7) };
    let value = net.conv("conv1", net.input(), stem)?;
    let value = net.batch_norm("bn1", value, Behind::RELU);
    let mut value = net.max_pool("maxpool", value, Pool { window: 3, stride: 2, padding: 1 })?;
    for (stage, blocks) in stages.blocks.into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let name = format!("layer{}.{block}", stage + 1);
            let inside = 64 << stage;
            value = residual_block(&mut net, &name, value, stages, (inside, stride))?;
        }
    }
    let value = net.adaptive_average_pool("avgpool", value, 1);
    net.linear("fc", value, shape.classes, None);
    Ok(net.finish())
}

/// Two 3×3 convolutions, or a bottleneck of 1×1, 3×3 and 1×1; the shortcut is a projection where the shape changes.
fn residual_block<D: Device>(
    net: &mut Builder<D>,
    name: &str,
    before: ValueId,
    stages: &Stages,
    (inside, stride): (usize, usize),
) -> Result<ValueId, BuildError> {
    let outside = inside * stages.expansion();
    let convs = match stages.bottleneck {
        true => vec![Conv::one(inside, 1), Conv::three(inside, stride), Conv::one(outside, 1)],
        false => vec![Conv::three(inside, stride), Conv::three(outside, 1)],
    };
    let shortcut = if stride > 1 || net.shape(before).channels != outside {
        let projected = net.conv(&format!("{name}.downsample.0"), before, Conv::one(outside, stride))?;
        net.batch_norm(&format!("{name}.downsample.1"), projected, Behind::NOTHING)
    } else {
        before
    };
    let (mut value, last) = (before, convs.len());
    for (index, conv) in (1..).zip(convs) {
        value = net.conv(&format!("{name}.conv{index}"), value, conv)?;
        let behind = match index == last {
            true => Behind { residual: Some(shortcut), relu: true, ends_block: true },
            false => Behind::RELU,
        };
        value = net.batch_norm(&format!("{name}.bn{index}"), value, behind);
    }
    Ok(value)
}
