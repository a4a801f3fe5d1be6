//! AlexNet: the network of 2012, and torchvision's narrower one of 2014.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Algorithm;
use lockstep_kernels::device::Device;

use super::SampleShape;
use crate::model::parts::{Conv, Pool};
use crate::model::{BuildError, Builder, Model};

const POOL: Pool = Pool { window: 3, stride: 2, padding: 0 };

/// torchvision's `alexnet` (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks"): one
/// tower, no local response normalisation.
pub(super) fn build<D: Device>(shape: SampleShape, convolution: Algorithm) -> Result<Model<D>, BuildError> {
    let mut net = Builder::new(shape.image(), convolution);
    let convs = [
        (0, Conv { stride: 4, padding: 2, ..Conv::new(64, 11) }, true),
        (3, Conv { padding: 2, ..Conv::new(192, 5) }, true),
        (6, Conv { padding: 1, ..Conv::new(384, 3) }, false),
        (8, Conv { padding: 1, ..Conv::new(256, 3) }, false),
        (10, Conv { padding: 1, ..Conv::new(256, 3) }, true),
    ];
    let mut value = net.input();
    for (index, conv, pooled) in convs {
        value = net.conv(&format!("features.{index}"), value, Conv { relu: true, ..conv })?;
        if pooled {
            value = net.max_pool(&format!("features.{}", index + 2), value, POOL)?;
        }
    }
    value = net.adaptive_average_pool("avgpool", value, 6);
    for (index, outputs) in [(1, 4096), (4, 4096)] {
        value = net.dropout(&format!("classifier.{}", index - 1), value, 0.5);
        value = net.linear(&format!("classifier.{index}"), value, outputs, Some(Activation::Relu));
    }
    net.linear("classifier.6", value, shape.classes, None);
    Ok(net.finish())
}

/// The network of Krizhevsky, Sutskever & Hinton 2012: 96 and 256 channels, two groups in the second, fourth and fifth
/// convolution, local response normalisation (n = 5, α = 1e-4, β = 0.75, k = 2), overlapping pooling, dropout. The
/// paper's 224×224 with 11×11 windows 4 apart gives its 55×55 places with a padding of 2.
pub(super) fn build_2012<D: Device>(shape: SampleShape, convolution: Algorithm) -> Result<Model<D>, BuildError> {
    // The paper's α is not divided by the size.
    const NORM: (usize, f32, f32, f32) = (5, 5e-4, 0.75, 2.0);
    let mut net = Builder::new(shape.image(), convolution);
    let convs = [
        (Conv { stride: 4, padding: 2, ..Conv::new(96, 11) }, true, true),
        (Conv { padding: 2, groups: 2, ..Conv::new(256, 5) }, true, true),
        (Conv { padding: 1, ..Conv::new(384, 3) }, false, false),
        (Conv { padding: 1, groups: 2, ..Conv::new(384, 3) }, false, false),
        (Conv { padding: 1, groups: 2, ..Conv::new(256, 3) }, false, true),
    ];
    let mut value = net.input();
    for (index, (conv, normed, pooled)) in (1..).zip(convs) {
        value = net.conv(&format!("conv{index}"), value, Conv { relu: true, ..conv })?;
        if normed {
            value = net.local_response_norm(&format!("norm{index}"), value, NORM);
        }
        if pooled {
            value = net.max_pool(&format!("pool{index}"), value, POOL)?;
        }
    }
    for (index, outputs) in [(6, 4096), (7, 4096)] {
        value = net.linear(&format!("fc{index}"), value, outputs, Some(Activation::Relu));
        value = net.dropout(&format!("drop{index}"), value, 0.5);
    }
    net.linear("fc8", value, shape.classes, None);
    Ok(net.finish())
}
