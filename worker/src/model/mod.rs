//! A model: a static graph of layers over one flat parameter vector.
//!
//! On a sample's path: micro-batch → [`Model::forward`] → loss → [`Model::backward`] → a lane's gradient.
//! Tensors lie in the flat vector in backward order (the last layer's first), so that the part of the gradient
//! that is finished first is also contiguous.

mod activations;
mod build;
mod initial;

use std::ops::Range;

use lockstep_kernels::device::Device;

use crate::layers::{Layer, TensorShape};

pub use activations::Activations;
pub use build::{BuildError, SampleShape, build};
pub use initial::initial_parameters;

/// A tensor and its place in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name, shape and fan-in.
    pub shape: TensorShape,
    /// Where its elements lie.
    pub range: Range<usize>,
}

/// A layer and the place of its parameters in the flat vector.
struct Placed<D: Device> {
    layer: Box<dyn Layer<D>>,
    range: Range<usize>,
}

/// Layers in forward order.
pub struct Model<D: Device> {
    layers: Vec<Placed<D>>,
    tensors: Vec<Tensor>,
    input_features: usize,
}

impl<D: Device> Model<D> {
    /// Places the layers' tensors: the last layer's first.
    pub fn new(input_features: usize, layers: Vec<Box<dyn Layer<D>>>) -> Self {
        let mut tensors = Vec::new();
        let mut placed = Vec::new();
        let mut end = 0;
        for layer in layers.into_iter().rev() {
            let start = end;
            for shape in layer.tensors() {
                let range = end..end + shape.len();
                end = range.end;
                tensors.push(Tensor { shape, range });
            }
            placed.push(Placed { layer, range: start..end });
        }
        placed.reverse();
        Self { layers: placed, tensors, input_features }
    }

    /// Elements of the flat parameter vector.
    pub fn parameters(&self) -> usize {
        self.tensors.last().map_or(0, |tensor| tensor.range.end)
    }

    /// Tensors in the order of the flat vector.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Parts of the flat vector, one for each layer that has parameters, in the order of the flat vector.
    pub fn layer_ranges(&self) -> Vec<Range<usize>> {
        let ranges = self.layers.iter().rev().map(|placed| placed.range.clone());
        ranges.filter(|range| !range.is_empty()).collect()
    }

    /// Values a sample before the first layer.
    pub fn input_features(&self) -> usize {
        self.input_features
    }

    /// Values a sample behind the last layer.
    pub fn output_features(&self) -> usize {
        self.layers.last().map_or(self.input_features, |placed| placed.layer.out_features())
    }

    /// Runs all layers over `samples` samples whose values the caller wrote to `activations`' input.
    pub fn forward(
        &self,
        device: &mut D,
        samples: usize,
        parameters: D::View<'_, f32>,
        activations: &mut Activations<D>,
    ) {
        for (index, placed) in self.layers.iter().enumerate() {
            let values = activations.forward(device, samples, index);
            placed.layer.forward(device, D::slice(parameters, placed.range.clone()), values);
        }
    }

    /// Runs all layers back from the gradient that the loss wrote to `activations`; overwrites all of `gradient`.
    pub fn backward(
        &self,
        device: &mut D,
        samples: usize,
        parameters: D::View<'_, f32>,
        activations: &mut Activations<D>,
        gradient: &mut D::ViewMut<'_, f32>,
    ) {
        for (index, placed) in self.layers.iter().enumerate().rev() {
            let values = activations.backward(device, samples, index);
            let own = D::slice(parameters, placed.range.clone());
            let d_own = D::slice_mut(gradient, placed.range.clone());
            placed.layer.backward(device, own, d_own, values);
        }
    }
}
