//! Fully connected layers.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Algorithm;
use lockstep_kernels::device::Device;
use lockstep_proto::job;

use super::{SampleShape, activation};
use crate::layers::Linear;
use crate::model::{Builder, Model, Shape};

/// Linear layers `fc1`, `fc2`, …: the hidden ones with the activation, the last with the output's.
pub(super) fn build<D: Device>(model: &job::Model, shape: SampleShape) -> Model<D> {
    let mut builder = Builder::new(Shape::flat(shape.features()), Algorithm::Auto);
    let hidden = model.hidden.iter().map(|width| (*width as usize, Some(activation(model))));
    let output = (shape.classes, output(model.output_activation));
    let mut value = builder.input();
    for (index, (outputs, activation)) in hidden.chain([output]).enumerate() {
        let name = format!("fc{}", index + 1);
        let inputs = builder.shape(value).features();
        let layer = Linear { name: name.clone(), inputs, plane: 1, outputs, activation };
        value = builder.layer(&name, &[value], layer, Shape::flat(outputs));
    }
    builder.finish()
}

fn output(name: job::OutputActivation) -> Option<Activation> {
    match name {
        job::OutputActivation::None => None,
        job::OutputActivation::Sigmoid => Some(Activation::Sigmoid),
        job::OutputActivation::Tanh => Some(Activation::Tanh),
        job::OutputActivation::ScaledTanh => Some(Activation::ScaledTanh),
    }
}
