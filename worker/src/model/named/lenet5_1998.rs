//! LeNet-5 as it was (LeCun, Bottou, Bengio & Haffner 1998): 60,000 trainable parameters.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::{Algorithm, Conv2dSize};
use lockstep_kernels::device::Device;
use lockstep_kernels::radial_basis::{RadialBasisSize, digits};
use lockstep_kernels::subsample2d::Subsample2dSize;

use super::SampleShape;
use crate::layers::{PartialConv2d, RadialBasis, Subsample2d};
use crate::model::parts::Conv;
use crate::model::{BuildError, Builder, Model, Shape, ValueId};

/// Height and width of the images: 28×28 with two rows and columns of background on each side.
const SIDE: usize = 32;

/// Units of F6: pixels of a bitmap.
const FEATURES: usize = digits::WIDTH * digits::HEIGHT;

/// The maps of S2 that each map of C3 sees (table I).
const C3: [&[usize]; 16] = [
    &[0, 1, 2],
    &[1, 2, 3],
    &[2, 3, 4],
    &[3, 4, 5],
    &[0, 4, 5],
    &[0, 1, 5],
    &[0, 1, 2, 3],
    &[1, 2, 3, 4],
    &[2, 3, 4, 5],
    &[0, 3, 4, 5],
    &[0, 1, 4, 5],
    &[0, 1, 2, 5],
    &[0, 1, 3, 4],
    &[1, 2, 4, 5],
    &[0, 2, 3, 5],
    &[0, 1, 2, 3, 4, 5],
];

/// `c1`, `s2`, `c3`, `s4`, `c5`, `f6` and the fixed radial basis functions, whose smallest output is the answer.
pub(super) fn build<D: Device>(shape: SampleShape, convolution: Algorithm) -> Result<Model<D>, BuildError> {
    let image = shape.image();
    if image != (Shape { channels: 1, height: SIDE, width: SIDE }) || shape.classes > digits::DIGITS {
        let wanted = format!("grey images of {SIDE}×{SIDE} in at most {} classes: set data.pad", digits::DIGITS);
        return Err(BuildError::misfit("c1", wanted, image));
    }
    let mut net = Builder::new(image, convolution);
    let f = Activation::ScaledTanh;
    let value = net.conv("c1", net.input(), Conv::new(6, 5))?;
    let value = net.activation("c1.tanh", value, f);
    let value = subsample(&mut net, "s2", value);
    let value = partial_conv(&mut net, "c3", value);
    let value = net.activation("c3.tanh", value, f);
    let value = subsample(&mut net, "s4", value);
    let value = net.conv("c5", value, Conv::new(120, 5))?;
    let value = net.activation("c5.tanh", value, f);
    let value = net.linear("f6", value, FEATURES, Some(f));
    let size = RadialBasisSize { samples: 0, inputs: FEATURES, outputs: shape.classes };
    let centres = digits::centres()[..shape.classes].concat();
    net.layer("rbf", &[value], RadialBasis { size, centres }, Shape::flat(shape.classes));
    Ok(net.finish())
}

fn subsample<D: Device>(net: &mut Builder<D>, name: &str, value: ValueId) -> ValueId {
    let Shape { channels, height, width } = net.shape(value);
    let size = Subsample2dSize { samples: 0, channels, height, width };
    let behind = Shape { channels, height: size.out_height(), width: size.out_width() };
    net.layer(name, &[value], Subsample2d { name: name.into(), size, activation: Activation::ScaledTanh }, behind)
}

fn partial_conv<D: Device>(net: &mut Builder<D>, name: &str, value: ValueId) -> ValueId {
    let Shape { channels, height, width } = net.shape(value);
    let size = Conv2dSize {
        samples: 0,
        in_channels: channels,
        out_channels: C3.len(),
        height,
        width,
        kernel: 5,
        convolution: net.convolution(),
        ..Conv2dSize::PLAIN
    };
    let behind = Shape { channels: C3.len(), height: size.out_height(), width: size.out_width() };
    let table = C3.iter().map(|row| row.to_vec()).collect();
    net.layer(name, &[value], PartialConv2d { name: name.into(), size, table }, behind)
}
