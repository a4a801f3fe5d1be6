//! Exact products with the Hessian of the loss: forward over reverse (Pearlmutter 1994). The network runs forward with the
//! tangents of its values beside them, and back with the tangents of its gradients; where those meet the parameters they
//! are H·v.
//!
//! It is a walk of its own over the graph's layers: values, gradients and both their tangents stay in memory of their
//! own, four times the values of a micro-batch. A probe is rare, and the plan of training is none of its business.

use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::device::{Device, Memory};
use lockstep_kernels::tangent::{AtOutputs, OutputTangent};

use super::graph::Placed;
use super::{Model, ValueId, Weights};
use crate::layers::{Forward, Inputs, MAX_INPUTS, MicroBatch, Mode, SpareMut, Tangent, TangentBack, TangentGradient};

/// One activation for each value of a network; one is empty while a layer writes to it, or if nothing is ever there.
struct Values<D: Device>(Vec<Option<D::Buffer<f32>>>);

impl<D: Device> Values<D> {
    fn take(&mut self, value: ValueId) -> D::Buffer<f32> {
        self.0[value].take().expect("a layer writes to values that it does not read")
    }

    fn put(&mut self, value: ValueId, buffer: D::Buffer<f32>) {
        self.0[value] = Some(buffer);
    }

    fn view(&self, value: ValueId, len: usize) -> Option<D::View<'_, f32>> {
        self.0[value].as_ref().map(|buffer| D::view(buffer, 0..len))
    }

    fn inputs(&self, placed: &Placed, lens: &[usize]) -> Inputs<'_, D> {
        let mut views = [None; MAX_INPUTS];
        for (view, value) in views.iter_mut().zip(placed.links.inputs()) {
            *view = self.view(value, lens[value]);
        }
        Inputs::new(views)
    }
}

/// The gradient of a value, and its tangent.
type Gradients<D> = [<D as Memory>::Buffer<f32>; 2];

/// Working memory of products, for one micro-batch at a time.
pub struct TangentMemory<D: Device> {
    /// Whether a weight moves a value: others have neither tangent nor gradient.
    moves: Vec<bool>,
    x: Values<D>,
    r_x: Values<D>,
    d_x: Values<D>,
    r_d_x: Values<D>,
    choices: Vec<D::Buffer<u8>>,
    moments: Vec<D::Buffer<f32>>,
    parameters: D::Buffer<f32>,
    values: [D::Buffer<f32>; 2],
}

impl<D: Device> TangentMemory<D> {
    /// For micro-batches of up to `samples` samples.
    pub fn new(device: &D, model: &Model<D>, samples: usize) -> Self {
        let moves = model.moves();
        let len = |value: ValueId| model.value_len(device, samples, value);
        let all = 0..model.shapes.len();
        let moved = || Values(all.clone().map(|value| moves[value].then(|| device.zeros(len(value)))).collect());
        let spare = || model.layers.iter().filter_map(|layer| layer.tangents());
        let values = |of: usize| spare().map(|spare| spare.features[of]).max().unwrap_or(0);
        let values = [values(0), values(1)].map(|features| device.zeros(device.activation_len(samples, features)));
        Self {
            x: Values(all.clone().map(|value| Some(device.zeros(len(value)))).collect()),
            r_x: moved(),
            d_x: moved(),
            r_d_x: moved(),
            choices: model.placed.iter().map(|of| device.zeros(of.memo.choices_len(device, samples))).collect(),
            moments: model.placed.iter().map(|of| device.zeros(of.memo.moments_len(device, samples))).collect(),
            parameters: device.zeros(spare().map(|spare| spare.parameters).max().unwrap_or(0)),
            values,
            moves,
        }
    }

    /// Bytes that [`TangentMemory::new`] asks for.
    pub fn bytes(device: &D, model: &Model<D>, samples: usize) -> usize {
        let spare = || model.layers.iter().filter_map(|layer| layer.tangents());
        let values = |of: usize| spare().map(|spare| spare.features[of]).max().unwrap_or(0);
        let activations = (0..model.shapes.len())
            .zip(model.moves())
            .map(|(value, moves)| model.value_len(device, samples, value) * if moves { 4 } else { 1 });
        let numbers = activations.sum::<usize>()
            + [0, 1].map(|of| device.activation_len(samples, values(of))).iter().sum::<usize>()
            + model.placed.iter().map(|of| of.memo.moments_len(device, samples)).sum::<usize>()
            + spare().map(|spare| spare.parameters).max().unwrap_or(0);
        let choices: usize = model.placed.iter().map(|of| of.memo.choices_len(device, samples)).sum();
        size_of::<f32>() * numbers + choices
    }

    /// Where the caller writes the micro-batch. It stays.
    pub fn input(&mut self, device: &D, model: &Model<D>, samples: usize) -> D::ViewMut<'_, f32> {
        let len = model.value_len(device, samples, 0);
        D::view_mut(self.x.0[0].as_mut().expect("no layer runs"), 0..len)
    }
}

/// A product's micro-batch, weights w and direction v.
pub struct Along<'a, D: Device> {
    /// The micro-batch.
    pub batch: MicroBatch<'a, D>,
    /// w.
    pub weights: Weights<'a, D>,
    /// v, as the parameters.
    pub direction: D::View<'a, f32>,
    /// Whether dropout leaves values out, as in training.
    pub drops: bool,
}

/// Computes the loss at outputs, (N, K), and overwrites its gradient there.
pub type LossAt<'m, D> = dyn FnMut(&mut D, <D as Memory>::View<'_, f32>, <D as Memory>::ViewMut<'_, f32>) + 'm;

impl<D: Device> Model<D> {
    /// The first layer without tangents, by its name: products are exact if there is none.
    pub fn without_tangents(&self) -> Option<&str> {
        let lacks = self.layers.iter().zip(&self.placed).find(|(layer, _)| layer.tangents().is_none());
        lacks.map(|(_, placed)| placed.name.as_str())
    }

    /// H·v of the sum of the micro-batch's losses, to `product`: all parameters. The samples lie in `memory`.
    ///
    /// # Panics
    /// If [`Model::without_tangents`] names a layer.
    pub fn hessian_product(
        &self,
        device: &mut D,
        along: &Along<'_, D>,
        memory: &mut TangentMemory<D>,
        (loss, kind): (&mut LossAt<'_, D>, OutputTangent),
        mut product: D::ViewMut<'_, f32>,
    ) {
        let samples = along.batch.samples;
        let lens: Vec<usize> = (0..self.shapes.len()).map(|value| self.value_len(device, samples, value)).collect();
        for index in 0..self.layers.len() {
            self.forward_with_tangent(index, device, along, memory, &lens);
        }
        let (output, classes) = (self.output(), self.output_features());
        let (mut d_x, mut r_d_x) = (memory.d_x.take(output), memory.r_d_x.take(output));
        let (x, len) = (memory.x.view(output, lens[output]).expect("no layer runs"), lens[output]);
        loss(device, x, D::view_mut(&mut d_x, 0..len));
        let r_x = memory.r_x.view(output, len).expect("weights move the outputs");
        device.copy(r_x, D::view_mut(&mut r_d_x, 0..len));
        let at = AtOutputs { x, d_x: D::view(&d_x, 0..len) };
        device.output_tangent(&ClassesSize { samples, classes }, kind, at, D::view_mut(&mut r_d_x, 0..len));
        memory.d_x.put(output, d_x);
        memory.r_d_x.put(output, r_d_x);

        let mut written = vec![false; self.shapes.len()];
        for index in (0..self.layers.len()).rev() {
            let own = D::slice_mut(&mut product, self.placed[index].parameters.clone());
            self.backward_with_tangent(index, device, along, (memory, &mut written), &lens, own);
        }
    }

    /// Values that depend on parameters.
    fn moves(&self) -> Vec<bool> {
        let mut moves = vec![false; self.shapes.len()];
        for Placed { links, parameters, .. } in &self.placed {
            moves[links.output] = !parameters.is_empty() || links.inputs().any(|value| moves[value]);
        }
        moves
    }

    fn forward_with_tangent(
        &self,
        index: usize,
        device: &mut D,
        along: &Along<'_, D>,
        memory: &mut TangentMemory<D>,
        lens: &[usize],
    ) {
        let (placed, layer) = (&self.placed[index], &self.layers[index]);
        let (output, samples) = (placed.links.output, along.batch.samples);
        let mut none: D::Buffer<f32> = device.zeros(0);
        let mut y = memory.x.take(output);
        let (choices, moments) = (placed.memo.choices_len(device, samples), placed.memo.moments_len(device, samples));
        let mode = if along.drops { Mode::Train(D::view_mut(&mut none, 0..0)) } else { Mode::Evaluate };
        let pass = Forward {
            batch: along.batch.reborrow(),
            own: Self::own(placed, along.weights),
            mode,
            inputs: memory.x.inputs(placed, lens),
            y: D::view_mut(&mut y, 0..lens[output]),
            choices: D::view_mut(&mut memory.choices[index], 0..choices),
            moments: D::view_mut(&mut memory.moments[index], 0..moments),
        };
        layer.forward(device, pass);
        memory.x.put(output, y);
        if memory.moves[output] {
            let mut r_y = memory.r_x.take(output);
            let at = self.at(index, device, along, memory, lens);
            layer.tangent_forward(device, at, D::view_mut(&mut r_y, 0..lens[output]));
            memory.r_x.put(output, r_y);
        }
    }

    /// What a layer's passes of tangents have in common. Values are taken apart by field, since their memory is lent out.
    fn at<'a, 'long: 'a>(
        &self,
        index: usize,
        device: &D,
        along: &Along<'long, D>,
        memory: &'a mut TangentMemory<D>,
        lens: &[usize],
    ) -> Tangent<'a, D> {
        let (placed, samples) = (&self.placed[index], along.batch.samples);
        let spare = self.layers[index].tangents().unwrap_or_default();
        let TangentMemory { x, r_x, choices, parameters, values: [first, second], .. } = memory;
        let of = spare.features.map(|features| device.activation_len(samples, features));
        Tangent {
            batch: along.batch.reborrow(),
            own: Self::own(placed, along.weights),
            direction: D::slice(along.direction, placed.parameters.clone()),
            drops: along.drops,
            inputs: x.inputs(placed, lens),
            r_inputs: r_x.inputs(placed, lens),
            y: x.view(placed.links.output, lens[placed.links.output]).expect("the forward pass has written it"),
            choices: D::view(&choices[index], 0..placed.memo.choices_len(device, samples)),
            spare: SpareMut {
                parameters: D::view_mut(parameters, 0..spare.parameters),
                values: [D::view_mut(first, 0..of[0]), D::view_mut(second, 0..of[1])],
            },
        }
    }

    fn backward_with_tangent(
        &self,
        index: usize,
        device: &mut D,
        along: &Along<'_, D>,
        (memory, written): (&mut TangentMemory<D>, &mut [bool]),
        lens: &[usize],
        mut product: D::ViewMut<'_, f32>,
    ) {
        let placed = &self.placed[index];
        let output = placed.links.output;
        if !memory.moves[output] {
            return;
        }
        let (mut d_y, mut r_d_y) = (memory.d_x.take(output), memory.r_d_x.take(output));
        let r_y = memory.r_x.take(output);
        // Values with another reader are few: this one's share gets memory of its own, to be added.
        let mut taken: Vec<(usize, ValueId, Gradients<D>)> = Vec::with_capacity(MAX_INPUTS);
        for (place, value) in placed.links.inputs().enumerate().filter(|(_, value)| memory.moves[*value]) {
            let pair = if written[value] {
                [(); 2].map(|()| device.zeros(lens[value]))
            } else {
                [memory.d_x.take(value), memory.r_d_x.take(value)]
            };
            taken.push((place, value, pair));
        }
        {
            let mut before = [const { None }; MAX_INPUTS];
            for (place, value, [d_x, r_d_x]) in &mut taken {
                let len = lens[*value];
                before[*place] =
                    Some(TangentGradient { d_x: D::view_mut(d_x, 0..len), r_d_x: D::view_mut(r_d_x, 0..len) });
            }
            let at = self.at(index, device, along, memory, lens);
            let pass = TangentBack {
                at,
                r_y: D::view(&r_y, 0..lens[output]),
                d_y: D::view_mut(&mut d_y, 0..lens[output]),
                r_d_y: D::view_mut(&mut r_d_y, 0..lens[output]),
                before,
                product: D::slice_mut(&mut product, 0..placed.parameters.len()),
            };
            self.layers[index].tangent_backward(device, pass);
        }
        for (_, value, [d_x, r_d_x]) in taken {
            if written[value] {
                for (sums, term) in [(&mut memory.d_x, d_x), (&mut memory.r_d_x, r_d_x)] {
                    let mut sum = sums.take(value);
                    device.accumulate(D::view_mut(&mut sum, 0..lens[value]), D::view(&term, 0..lens[value]));
                    sums.put(value, sum);
                }
            } else {
                memory.d_x.put(value, d_x);
                memory.r_d_x.put(value, r_d_x);
                written[value] = true;
            }
        }
        memory.d_x.put(output, d_y);
        memory.r_d_x.put(output, r_d_y);
        memory.r_x.put(output, r_y);
    }
}
