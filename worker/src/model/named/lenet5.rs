//! LeNet-5's shape as it is built today.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::{Algorithm, Conv2dSize};
use lockstep_kernels::device::Device;
use lockstep_kernels::pool2d::Pool2dSize;
use lockstep_proto::job;

use super::{SampleShape, activation};
use crate::layers::{AveragePool2d, Conv2d, Conv2dMaxPool2d, Linear};
use crate::model::{BuildError, Builder, Model, Shape, ValueId};

/// Least height and width of the images.
const LEAST: usize = 12;

/// LeNet-5's shape (LeCun et al. 1998): full connections in the second convolution, plain pooling, linear outputs.
pub(super) fn build<D: Device>(model: &job::Model, shape: SampleShape) -> Result<Model<D>, BuildError> {
    let SampleShape { height, width, classes, .. } = shape;
    if height < LEAST || width < LEAST {
        return Err(BuildError::ImageTooSmall { model: "lenet5", need: LEAST, height, width });
    }
    let f = activation(model);
    let mut builder = Builder::new(shape.image(), Algorithm::Direct);
    let value = builder.input();
    let value = conv_and_pool(&mut builder, value, "conv1", (6, 2), model.pooling, f);
    let mut value = conv_and_pool(&mut builder, value, "conv2", (16, 0), model.pooling, f);
    for (name, outputs, activation) in [("fc1", 120, Some(f)), ("fc2", 84, Some(f)), ("fc3", classes, None)] {
        let shape = builder.shape(value);
        let (inputs, plane) = (shape.features(), shape.plane());
        let layer = Linear { name: name.into(), inputs, plane, outputs, activation };
        value = builder.layer(name, &[value], layer, Shape::flat(outputs));
    }
    Ok(builder.finish())
}

/// A 5×5 convolution, 2×2 pooling and an activation: one layer where the device has the op.
fn conv_and_pool<D: Device>(
    builder: &mut Builder<D>,
    value: ValueId,
    name: &str,
    (out_channels, padding): (usize, usize),
    pooling: job::Pooling,
    f: Activation,
) -> ValueId {
    let Shape { channels: in_channels, height, width } = builder.shape(value);
    let size = Conv2dSize {
        samples: 0,
        in_channels,
        out_channels,
        height,
        width,
        kernel: 5,
        padding,
        convolution: builder.convolution(),
        ..Conv2dSize::PLAIN
    };
    let (height, width) = (size.out_height(), size.out_width());
    let pool = Pool2dSize { samples: 0, channels: out_channels, height, width, window: 2, stride: 2, padding: 0 };
    let pooled = Shape { channels: out_channels, height: pool.out_height(), width: pool.out_width() };
    let conv = Conv2d { name: name.into(), size, bias: true, relu: false };
    match pooling {
        job::Pooling::Max => builder.layer(name, &[value], Conv2dMaxPool2d { conv, activation: Some(f) }, pooled),
        job::Pooling::Average => {
            let value = builder.layer(name, &[value], conv, Shape { channels: out_channels, height, width });
            let layer = AveragePool2d { size: pool, activation: Some(f) };
            builder.layer(&name.replace("conv", "pool"), &[value], layer, pooled)
        }
    }
}
