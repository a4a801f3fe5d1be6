//! Builds a graph node by node, with every shape checked where it arises.

use std::ops::Range;

use lockstep_kernels::conv2d::Algorithm;
use lockstep_kernels::device::Device;

use super::graph::{Links, Placed, Shape, ValueId};
use super::planned::planned;
use super::{Model, Plan, Tensor};
use crate::layers::{Layer, TensorShape};

/// A model that doesn't fit the data, or in itself.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The input is too small for the network's kernels and poolings.
    #[error("model.name: {model} needs images of at least {need}×{need} pixels; the data has {height}×{width}")]
    ImageTooSmall {
        /// The network.
        model: &'static str,
        /// Least height and width.
        need: usize,
        /// Of the data.
        height: usize,
        /// Of the data.
        width: usize,
    },
    /// A layer without second derivatives, under an optimiser that needs them.
    #[error(
        "optimizer.name = \"diagonal_lm\" needs second derivatives, which layer {layer} has not: take another optimizer, \
         or `mlp`, `lenet5` or `lenet5-1998`"
    )]
    NoCurvature {
        /// Name of the layer.
        layer: String,
    },
    /// A layer that does not fit what is before it.
    #[error("layer {layer}: wants {wanted}, gets {got}")]
    Misfit {
        /// Name of the layer.
        layer: String,
        /// In words.
        wanted: String,
        /// The shape before it.
        got: String,
    },
}

impl BuildError {
    /// A layer that wants something else than the shape before it.
    pub fn misfit(layer: &str, wanted: impl Into<String>, got: Shape) -> Self {
        Self::Misfit { layer: layer.into(), wanted: wanted.into(), got: got.to_string() }
    }
}

/// A graph that grows.
pub struct Builder<D: Device> {
    shapes: Vec<Shape>,
    nodes: Vec<Node<D>>,
    convolution: Algorithm,
    streams: usize,
}

struct Node<D: Device> {
    name: String,
    layer: Box<dyn Layer<D>>,
    links: Links,
}

impl<D: Device> Builder<D> {
    /// A graph without layers, over samples of this shape, whose convolutions may take this algorithm.
    pub fn new(input: Shape, convolution: Algorithm) -> Self {
        Self { shapes: vec![input], nodes: Vec::new(), convolution, streams: 0 }
    }

    /// The algorithm that convolutions may take.
    pub fn convolution(&self) -> Algorithm {
        self.convolution
    }

    /// A stream of random numbers that no other layer draws from.
    pub(super) fn next_stream(&mut self) -> usize {
        self.streams += 1;
        self.streams - 1
    }

    /// The model's input.
    pub fn input(&self) -> ValueId {
        0
    }

    /// Sizes of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.shapes[value]
    }

    /// Adds a layer over these values; gives the value behind it.
    ///
    /// # Panics
    /// If a value is read twice, or there are too many.
    pub fn layer(&mut self, name: &str, inputs: &[ValueId], layer: impl Layer<D> + 'static, shape: Shape) -> ValueId {
        assert!((1..inputs.len()).all(|i| !inputs[..i].contains(&inputs[i])), "{name} reads a value twice");
        let output = self.shapes.len();
        self.shapes.push(shape);
        self.nodes.push(Node { name: name.to_owned(), layer: Box::new(layer), links: Links::new(inputs, output) });
        output
    }

    /// Reads a value in another shape of as many elements.
    pub fn reshaped(&mut self, value: ValueId, shape: Shape) -> ValueId {
        debug_assert_eq!(self.shapes[value].features(), shape.features());
        self.shapes[value] = shape;
        value
    }

    /// The model, whose output is the last layer's.
    pub fn finish(self) -> Model<D> {
        let Self { shapes, nodes, streams, .. } = self;
        let (mut parameters, mut statistics) = (Vec::new(), Vec::new());
        let mut placed = Vec::with_capacity(nodes.len());
        // The last layer's tensors come first.
        for node in nodes.iter().rev() {
            placed.push(Placed {
                name: node.name.clone(),
                links: node.links.clone(),
                parameters: place(&mut parameters, node.layer.parameters()),
                statistics: place(&mut statistics, node.layer.statistics()),
                memo: node.layer.memo(),
            });
        }
        placed.reverse();
        let layers: Vec<_> = nodes.into_iter().map(|node| node.layer).collect();
        let plan = planned(&shapes, &layers, &placed, Plan::new);
        let (trained, running) = (end_of(&parameters), end_of(&statistics));
        let behind =
            |tensor: Tensor| Tensor { range: trained + tensor.range.start..trained + tensor.range.end, ..tensor };
        parameters.extend(statistics.into_iter().map(behind));
        let (tensors, parameters, statistics) = (parameters, trained, running);
        Model { layers, placed, shapes, tensors, parameters, statistics, plan, streams }
    }
}

/// Lays tensors behind those that are there; gives the range of all of them.
fn place(tensors: &mut Vec<Tensor>, shapes: Vec<TensorShape>) -> Range<usize> {
    let start = end_of(tensors);
    let mut end = start;
    for shape in shapes {
        let range = end..end + shape.len();
        end = range.end;
        tensors.push(Tensor { shape, range });
    }
    start..end
}

fn end_of(tensors: &[Tensor]) -> usize {
    tensors.last().map_or(0, |tensor| tensor.range.end)
}
