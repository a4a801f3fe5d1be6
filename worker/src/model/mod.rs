//! A model: a static graph of layers over one flat parameter vector.
//!
//! On a sample's path: micro-batch → [`Model::forward`] → loss → [`Model::backward`] → a lane's gradient.
//! Tensors lie in the flat vector in backward order (the last layer's first), so that the part of the gradient that is
//! finished first is also contiguous. Behind the parameters are the running statistics; there a lane's gradient has the
//! micro-batch's own statistics, times its count of samples.

mod activations;
mod builder;
mod curvature;
mod graph;
mod initial;
mod named;
mod named_weights;
mod needs;
mod parts;
mod plan;
mod planned;
mod tangent;

use std::ops::Range;

use lockstep_kernels::conv2d::{Accumulation, Conv2dSize};
use lockstep_kernels::device::{Device, Memory};

use crate::layers::{Backward, Forward, Gradient, Inputs, Layer, MAX_INPUTS, MicroBatch, Mode, Own, TensorShape};
use activations::{NotesMut, Slots, Taken, view_of};
use graph::Placed;
use plan::{Places, Step, Way};

pub use activations::Activations;
pub use builder::{BuildError, Builder};
pub use curvature::CurvatureMemory;
pub use graph::{Shape, ValueId};
pub use initial::initial_values;
pub use named::{SampleShape, build};
pub use named_weights::{NamedWeights, ParameterSet, WeightsError, read_bounded};
pub use needs::Need;
pub(crate) use parts::BATCH_NORM_EPSILON;
pub use plan::Plan;
pub use tangent::{Along, LossAt, TangentMemory};

/// A tensor and its place in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name, shape and role.
    pub shape: TensorShape,
    /// Where its elements lie.
    pub range: Range<usize>,
}

/// Takes the device, a vector, and up to which element, from its front on, it is made.
pub type Tell<'m, D> = dyn FnMut(&mut D, &mut <D as Memory>::ViewMut<'_, f32>, usize) + 'm;

/// The flat vectors that a model computes with.
pub struct Weights<'a, D: Device> {
    /// All parameters.
    pub parameters: D::View<'a, f32>,
    /// All running statistics.
    pub statistics: D::View<'a, f32>,
}

impl<'a, D: Device> Weights<'a, D> {
    /// Both parts of a flat vector, of which the first `parameters` elements are that.
    pub fn of_flat(flat: D::View<'a, f32>, parameters: usize, len: usize) -> Self {
        Self { parameters: D::slice(flat, 0..parameters), statistics: D::slice(flat, parameters..len) }
    }
}

impl<D: Device> Clone for Weights<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Device> Copy for Weights<'_, D> {}

/// What a layer runs forward for.
enum Run<'a, D: Device> {
    /// Training; the layer's statistics go there.
    Train(D::ViewMut<'a, f32>),
    /// The same once more, on the way back.
    Again,
    /// Evaluation.
    Evaluate,
}

/// A model on the CPU.
pub type CpuModel = Model<lockstep_kernels::cpu::Cpu>;

/// A layer, for people to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerView<'a> {
    /// Name in the model.
    pub name: &'a str,
    /// Sizes of the value behind it.
    pub shape: Shape,
    /// Elements of its parameters.
    pub parameters: usize,
    /// Multiplications and additions of a sample's forward pass, those of linear maps alone.
    pub operations: u64,
}

/// Layers in forward order.
pub struct Model<D: Device> {
    layers: Vec<Box<dyn Layer<D>>>,
    placed: Vec<Placed>,
    shapes: Vec<Shape>,
    tensors: Vec<Tensor>,
    parameters: usize,
    statistics: usize,
    plan: Plan,
    streams: usize,
}

impl<D: Device> Model<D> {
    /// Elements of all parameters: the first part of the flat vector.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Elements of the running statistics: its second part.
    pub fn statistics(&self) -> usize {
        self.statistics
    }

    /// Elements of the flat vector, and of a lane's gradient: of all parameters, then the micro-batch's statistics.
    pub fn len(&self) -> usize {
        self.parameters + self.statistics
    }

    /// Whether there is nothing to train.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tensors in the order of the flat vector: parameters, then running statistics.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Tensors that are trained, in the order of the flat vector.
    pub fn trained_tensors(&self) -> &[Tensor] {
        let trained = self.tensors.partition_point(|tensor| tensor.range.end <= self.parameters);
        &self.tensors[..trained]
    }

    /// Parts of the flat parameter vector, one for each layer that has parameters, in the order of the flat vector.
    pub fn layer_ranges(&self) -> Vec<Range<usize>> {
        let ranges = self.placed.iter().rev().map(|placed| placed.parameters.clone());
        ranges.filter(|range| !range.is_empty()).collect()
    }

    /// Names of those layers, in the same order.
    pub fn layer_names(&self) -> impl Iterator<Item = &str> {
        self.placed.iter().rev().filter(|placed| !placed.parameters.is_empty()).map(|placed| placed.name.as_str())
    }

    /// Streams of random numbers that its layers need in training, see [`MicroBatch::keys`].
    pub fn streams(&self) -> usize {
        self.streams
    }

    /// Values a sample before the first layer.
    pub fn input_features(&self) -> usize {
        self.shapes[0].features()
    }

    /// Shape of a sample as the first layers see it.
    pub fn input_shape(&self) -> Shape {
        self.shapes[0]
    }

    /// Values a sample behind the last layer.
    pub fn output_features(&self) -> usize {
        self.shapes[self.output()].features()
    }

    /// Layers in forward order, for people to read.
    pub fn layers(&self) -> impl Iterator<Item = LayerView<'_>> {
        self.layers.iter().zip(&self.placed).map(|(layer, placed)| LayerView {
            name: &placed.name,
            shape: self.shapes[placed.links.output],
            parameters: placed.parameters.len(),
            operations: layer.operations(),
        })
    }

    /// The first layer that divides by what its input comes to, in evaluation, if there is one.
    pub fn divides_by_input(&self) -> Option<&str> {
        let mut layers = self.layers.iter().zip(&self.placed);
        layers.find(|(layer, _)| layer.divides_by_input()).map(|(_, placed)| placed.name.as_str())
    }

    /// The convolutions of its layers, over so many samples.
    pub fn convolutions(&self, samples: usize) -> impl Iterator<Item = Conv2dSize> {
        self.layers.iter().filter_map(move |layer| Some(Conv2dSize { samples, ..layer.convolution()? }))
    }

    /// Values a sample that a lane's working memory holds: between layers and gradients in flight, as they share memory.
    pub fn memory_features(&self) -> usize {
        self.plan.features()
    }

    fn output(&self) -> ValueId {
        self.placed.last().map_or(0, |placed| placed.links.output)
    }

    /// Slots of the output and of its gradient.
    fn output_slots(&self) -> (usize, usize) {
        let output = self.output();
        (self.plan.forward.values[output], self.plan.gradients[output].expect("the loss writes the output's gradient"))
    }

    /// Elements of a value in memory.
    fn value_len(&self, device: &D, samples: usize, value: ValueId) -> usize {
        device.activation_len(samples, self.shapes[value].features())
    }

    /// Trains on the way forward: runs all layers over samples whose values the caller wrote to `activations`' input.
    /// `statistics` is the second part of the lane's gradient; all of it is overwritten.
    pub fn forward(
        &self,
        device: &mut D,
        batch: MicroBatch<'_, D>,
        weights: Weights<'_, D>,
        activations: &mut Activations<D>,
        statistics: D::ViewMut<'_, f32>,
    ) {
        let mut statistics = statistics;
        for index in 0..self.layers.len() {
            let own = D::slice_mut(&mut statistics, self.placed[index].statistics.clone());
            self.forward_layer(index, device, batch, weights, activations, Run::Train(own));
        }
    }

    /// Runs layers as [`Model::forward`] does until one's output holds a number that is not finite; gives its name.
    pub fn first_nonfinite(
        &self,
        device: &mut D,
        batch: MicroBatch<'_, D>,
        weights: Weights<'_, D>,
        activations: &mut Activations<D>,
        mut statistics: D::ViewMut<'_, f32>,
    ) -> Option<&str> {
        let mut values = Vec::new();
        for (index, placed) in self.placed.iter().enumerate() {
            let own = D::slice_mut(&mut statistics, placed.statistics.clone());
            self.forward_layer(index, device, batch, weights, activations, Run::Train(own));
            let output = placed.links.output;
            let shape = self.shapes[output].of_samples(batch.samples);
            values.resize(shape.values(), 0.0);
            let len = self.value_len(device, batch.samples, output);
            device.read_activation(&shape, activations.view(self.plan.forward.values[output], len), &mut values);
            if !values.iter().all(|value: &f32| value.is_finite()) {
                return Some(&placed.name);
            }
        }
        None
    }

    /// Runs all layers with running statistics and without dropout.
    pub fn evaluate(
        &self,
        device: &mut D,
        batch: MicroBatch<'_, D>,
        weights: Weights<'_, D>,
        activations: &mut Activations<D>,
    ) {
        for index in 0..self.layers.len() {
            self.forward_layer(index, device, batch, weights, activations, Run::Evaluate);
        }
    }

    fn forward_layer(
        &self,
        index: usize,
        device: &mut D,
        batch: MicroBatch<'_, D>,
        weights: Weights<'_, D>,
        activations: &mut Activations<D>,
        mut run: Run<'_, D>,
    ) {
        let placed = &self.placed[index];
        let output = placed.links.output;
        let places = match run {
            Run::Train(_) | Run::Evaluate => &self.plan.forward,
            Run::Again => &self.plan.back,
        };
        let mut y = activations.take(places.values[output]);
        let (slots, notes) = activations.parts();
        let NotesMut { choices, moments, statistics } = notes.of(placed, places.notes[index], device, batch.samples);
        let all = 0..placed.statistics.len();
        let mode = match &mut run {
            Run::Train(statistics) => Mode::Train(D::slice_mut(statistics, all)),
            Run::Again => Mode::Train(D::view_mut(statistics, all)),
            Run::Evaluate => Mode::Evaluate,
        };
        self.layers[index].forward(
            device,
            Forward {
                batch: batch.reborrow(),
                own: Self::own(placed, weights),
                mode,
                inputs: self.inputs(device, batch.samples, (placed, places), slots),
                y: D::view_mut(&mut y, 0..self.value_len(device, batch.samples, output)),
                choices,
                moments,
            },
        );
        activations.put(places.values[output], y);
    }

    fn own<'short, 'long: 'short>(placed: &Placed, weights: Weights<'long, D>) -> Own<'short, D> {
        Own {
            parameters: D::slice(weights.parameters, placed.parameters.clone()),
            statistics: D::slice(weights.statistics, placed.statistics.clone()),
        }
    }

    fn inputs<'a>(
        &self,
        device: &D,
        samples: usize,
        (placed, places): (&Placed, &Places),
        slots: &'a Slots<D>,
    ) -> Inputs<'a, D> {
        let mut views = [None; MAX_INPUTS];
        for (view, value) in views.iter_mut().zip(placed.links.inputs()) {
            // A slot that was given to another value meanwhile holds something else; the layer does not look then.
            let slot = places.values[value];
            *view = slots[slot].is_some().then(|| view_of::<D>(slots, slot, self.value_len(device, samples, value)));
        }
        Inputs::new(views)
    }

    /// Runs all layers back from the gradient that the loss wrote to `activations`; overwrites all of `gradient`, the
    /// parameters' part of a lane's gradient, from its front on: `made` takes it again behind each layer that has
    /// parameters, with how far it is made.
    pub fn backward(
        &self,
        device: &mut D,
        batch: MicroBatch<'_, D>,
        weights: Weights<'_, D>,
        activations: &mut Activations<D>,
        mut gradient: D::ViewMut<'_, f32>,
        made: &mut Tell<'_, D>,
    ) {
        for step in &self.plan.way_back {
            let index = match *step {
                Step::Again(index) => {
                    self.forward_layer(index, device, batch, weights, activations, Run::Again);
                    continue;
                }
                Step::Back(index) => index,
            };
            let place = self.placed[index].parameters.clone();
            let own = D::slice_mut(&mut gradient, place.clone());
            self.backward_layer(index, device, batch, weights, activations, (own, None));
            if !place.is_empty() {
                made(device, &mut gradient, place.end);
            }
        }
    }

    /// A layer's way back: of gradients, or with `memory` of second derivatives.
    fn backward_layer(
        &self,
        index: usize,
        device: &mut D,
        batch: MicroBatch<'_, D>,
        weights: Weights<'_, D>,
        activations: &mut Activations<D>,
        (mut d_parameters, memory): (D::ViewMut<'_, f32>, Option<&mut CurvatureMemory<D>>),
    ) {
        let placed = &self.placed[index];
        let (output, ways) = (placed.links.output, &self.plan.ways[index]);
        let Some(behind) = self.plan.gradients[output] else { return };
        let mut d_y = activations.take(behind);
        let mut taken: Taken<D> = std::array::from_fn(|place| match ways[place] {
            Way::Write(slot) | Way::Add(slot) | Way::AddFrom(_, slot) => Some((slot, activations.take(slot))),
            Way::None | Way::Becomes | Way::AddBehind(_) => None,
        });
        let lens: [usize; MAX_INPUTS] = {
            let mut inputs = placed.links.inputs();
            std::array::from_fn(|_| inputs.next().map_or(0, |value| self.value_len(device, batch.samples, value)))
        };
        let len = self.value_len(device, batch.samples, output);
        {
            let (slots, notes) = activations.parts();
            let places = &self.plan.back;
            let NotesMut { choices, moments, .. } = notes.of(placed, places.notes[index], device, batch.samples);
            let y = places.values[output];
            let mut buffers = taken.iter_mut();
            let d_x = std::array::from_fn(|place| {
                let (_, buffer) = buffers.next()?.as_mut()?;
                let accumulation = match ways[place] {
                    Way::Add(_) => Accumulation::Add,
                    _ => Accumulation::Overwrite,
                };
                Some(Gradient { d_x: D::view_mut(buffer, 0..lens[place]), accumulation })
            });
            let back = Backward {
                batch: batch.reborrow(),
                own: Self::own(placed, weights),
                d_parameters: D::slice_mut(&mut d_parameters, 0..placed.parameters.len()),
                inputs: self.inputs(device, batch.samples, (placed, places), slots),
                y: slots[y].is_some().then(|| view_of::<D>(slots, y, len)),
                choices: D::shared(choices),
                moments,
                d_y: D::view_mut(&mut d_y, 0..len),
                d_x,
            };
            let layer = &*self.layers[index];
            match memory {
                None => layer.backward(device, back),
                Some(memory) => memory.pass(layer, output == self.output(), device, len, back),
            }
        }
        for (slot, buffer) in taken.into_iter().flatten() {
            activations.put(slot, buffer);
        }
        activations.put(behind, d_y);
        for (way, len) in ways.iter().zip(lens) {
            let (to, from) = match *way {
                Way::AddFrom(to, from) => (to, from),
                Way::AddBehind(to) => (to, behind),
                Way::None | Way::Write(_) | Way::Add(_) | Way::Becomes => continue,
            };
            let mut sum = activations.take(to);
            device.accumulate(D::view_mut(&mut sum, 0..len), activations.view(from, len));
            activations.put(to, sum);
        }
    }
}
