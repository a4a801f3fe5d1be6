//! VGG networks (Simonyan & Zisserman 2015), as torchvision builds them.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Algorithm;
use lockstep_kernels::device::Device;

use super::SampleShape;
use crate::model::parts::{Behind, Conv, Pool};
use crate::model::{BuildError, Builder, Model};

/// Convolutions of each of the five stages.
pub(super) const VGG11: [usize; 5] = [1, 1, 2, 2, 2];
/// The same.
pub(super) const VGG16: [usize; 5] = [2, 2, 3, 3, 3];

/// `features.0` …, `classifier.0`, `.3`, `.6`.
pub(super) fn build<D: Device>(
    stages: [usize; 5],
    normed: bool,
    shape: SampleShape,
    convolution: Algorithm,
) -> Result<Model<D>, BuildError> {
    let mut net = Builder::new(shape.image(), convolution);
    let (mut value, mut index) = (net.input(), 0);
    // torchvision counts every module.
    let mut next = || {
        index += 1;
        format!("features.{}", index - 1)
    };
    for (convs, channels) in stages.into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..convs {
            value = net.conv(&next(), value, Conv { padding: 1, relu: !normed, ..Conv::new(channels, 3) })?;
            if normed {
                value = net.batch_norm(&next(), value, Behind::RELU);
            }
            // A ReLU in the same pass keeps its number.
            next();
        }
        value = net.max_pool(&next(), value, Pool { window: 2, stride: 2, padding: 0 })?;
    }
    value = net.adaptive_average_pool("avgpool", value, 7);
    for index in [0, 3] {
        value = net.linear(&format!("classifier.{index}"), value, 4096, Some(Activation::Relu));
        value = net.dropout(&format!("classifier.{}", index + 2), value, 0.5);
    }
    net.linear("classifier.6", value, shape.classes, None);
    Ok(net.finish())
}
