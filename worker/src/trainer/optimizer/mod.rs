//! The optimiser: from a reduced gradient to the next parameters, its own vectors and averages.
//!
//! All of it is local and element-wise but for norms, which are sums over fixed blocks: neither workers nor threads
//! show in the result. What it needs of the past is in the state: its vectors, and the count of committed steps.

mod decay;
mod kept;
mod norms;
mod step_up;
mod strips;
#[cfg(test)]
mod tests;

use std::ops::Range;

use lockstep_kernels::device::Device;
use lockstep_kernels::moving_average::AverageStep;
use lockstep_kernels::optimizer::{
    Adagrad, Adam, Decay, Diagonal, Lamb, Lars, MOST_VECTORS, Rmsprop, Rule, Scaling, Sgd, Update, Vectors,
};
use lockstep_proto::job::{self, OptimizerName};

use super::crew::Devices;
use crate::model::Tensor;
pub(super) use kept::{CURVATURE, Kept, PARAMETERS, Role, kept};
pub(super) use norms::Blocks;
use strips::Strip;

/// A job's optimiser over the tensors of its model.
pub struct Optimizer<D: Device> {
    keys: job::Optimizer,
    /// Elements of the parameters.
    len: usize,
    /// Runs of the parameters that are updated alike, in order.
    segments: Vec<Segment>,
    /// One a tensor.
    blocks: Blocks<D>,
    norms: Norms,
    /// Where LAMB keeps its direction until the norm is known.
    direction: Option<D::Buffer<f32>>,
}

/// Tensors that are updated alike.
struct Segment {
    range: Range<usize>,
    decays: bool,
    /// Its tensor, where each has a trust ratio of its own.
    tensor: Option<usize>,
}

/// Norms of each tensor, as far as the optimiser needs them.
#[derive(Default)]
struct Norms {
    weights: Vec<f64>,
    /// Of the clipped mean gradient.
    gradient: Vec<f64>,
    direction: Vec<f64>,
}

/// Constants of one step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// η.
    pub learning_rate: f64,
    /// Samples whose gradients the sum holds.
    pub count: u64,
    /// Steps committed before.
    pub steps: u64,
}

/// All vectors of an update, each over all parameters.
pub struct Whole<'a, D: Device> {
    /// Updated in place.
    pub parameters: D::ViewMut<'a, f32>,
    /// The rule's, updated in place.
    pub state: [Option<D::ViewMut<'a, f32>>; MOST_VECTORS],
    /// The moving average of the parameters.
    pub average: Option<D::ViewMut<'a, f32>>,
}

impl<D: Device> Optimizer<D> {
    /// The optimiser of a job. `tensors`: those that are trained, in the order of the flat vector.
    pub fn new(keys: &job::Optimizer, tensors: &[Tensor]) -> Self {
        let by_tensor = matches!(keys.name, OptimizerName::Lars | OptimizerName::Lamb);
        let mut segments: Vec<Segment> = Vec::new();
        for (index, tensor) in tensors.iter().enumerate() {
            let decays = decay::decays(keys, tensor.shape.role);
            match segments.last_mut() {
                Some(last) if !by_tensor && last.decays == decays => last.range.end = tensor.range.end,
                _ => segments.push(Segment { range: tensor.range.clone(), decays, tensor: by_tensor.then_some(index) }),
            }
        }
        Self {
            keys: keys.clone(),
            len: tensors.last().map_or(0, |tensor| tensor.range.end),
            segments,
            blocks: Blocks::new(tensors.iter().map(|tensor| tensor.range.clone())),
            norms: Norms::default(),
            direction: None,
        }
    }

    /// One update. `gradient`: the sum over samples.
    pub fn update(
        &mut self,
        crew: &mut impl Devices<D>,
        step: &Step,
        gradient: D::View<'_, f32>,
        mut whole: Whole<'_, D>,
    ) {
        let len = self.len;
        let scaling = self.scaling(crew, step, gradient);
        if matches!(self.keys.name, OptimizerName::Lars | OptimizerName::Lamb) {
            let weights = D::shared(D::slice_mut(&mut whole.parameters, 0..len));
            self.norms.weights = self.blocks.norms(crew, weights);
        }
        let mut direction = self.direction.take();
        if self.keys.name == OptimizerName::Lamb {
            direction.get_or_insert_with(|| crew.first_device().zeros(len));
        }
        let mut state = whole.state.each_mut().map(|vector| Some(D::slice_mut(vector.as_mut()?, 0..len)));
        if let Some(direction) = &mut direction {
            state[2] = Some(D::view_mut(direction, 0..len));
        }
        let updates: Vec<_> = self.segments.iter().map(|segment| self.update_of(segment, step, scaling)).collect();
        self.apply(crew, &updates, gradient, D::slice_mut(&mut whole.parameters, 0..len), state);
        if let Some(direction) = &direction {
            let direction = D::view(direction, 0..len);
            self.norms.direction = self.blocks.norms(crew, direction);
            self.descend(crew, step, direction, D::slice_mut(&mut whole.parameters, 0..len));
        }
        self.direction = direction;
        if let Some(average) = whole.average {
            let weight = (1.0 - self.keys.ema) as f32;
            average_of(crew, &AverageStep { scale: 1.0, weight }, D::shared(whole.parameters), average, len);
        }
    }

    /// From the sum to the gradient; takes its norms where they are needed.
    fn scaling(&mut self, crew: &mut impl Devices<D>, step: &Step, gradient: D::View<'_, f32>) -> Scaling {
        let keys = &self.keys;
        let mut scaling = Scaling::mean(step.count);
        if keys.clip_value > 0.0 {
            scaling.limit = keys.clip_value as f32;
        }
        if keys.clip_norm == 0.0 && keys.name != OptimizerName::Lars {
            return scaling;
        }
        let reciprocal = 1.0 / step.count as f64;
        let sums = self.blocks.norms(crew, D::slice(gradient, 0..self.len));
        if keys.clip_norm > 0.0 {
            let norm = norms::of_all(&sums) * reciprocal;
            scaling.factor = Scaling::factor_of_norm(norm, keys.clip_norm);
        }
        let factor = reciprocal * f64::from(scaling.factor);
        self.norms.gradient = sums.into_iter().map(|norm| norm * factor).collect();
        scaling
    }

    /// The update's constants for one segment.
    fn update_of(&self, segment: &Segment, step: &Step, scaling: Scaling) -> Update {
        let keys = &self.keys;
        let Step { learning_rate, steps, .. } = *step;
        let (momentum, beta1, beta2, epsilon) = (keys.momentum, keys.beta1, keys.beta2, keys.epsilon());
        let weight_decay = if segment.decays { keys.weight_decay } else { 0.0 };
        let decoupled = keys.decoupled || keys.name == OptimizerName::Adamw;
        let decay = match weight_decay {
            0.0 => Decay::None,
            decay if decoupled => Decay::Decoupled(decay),
            decay => Decay::Coupled(decay),
        };
        let rule = match keys.name {
            OptimizerName::Sgd => {
                let (dampening, nesterov) = (keys.dampening, keys.nesterov);
                Rule::Sgd(Sgd { learning_rate, momentum, dampening, nesterov, steps })
            }
            OptimizerName::Adagrad => {
                let learning_rate_decay = keys.learning_rate_decay;
                Rule::Adagrad(Adagrad { learning_rate, learning_rate_decay, epsilon, steps })
            }
            OptimizerName::Rmsprop => {
                let (alpha, centered) = (keys.alpha, keys.centered);
                Rule::Rmsprop(Rmsprop { learning_rate, alpha, epsilon, momentum, centered })
            }
            OptimizerName::Adam | OptimizerName::Adamw => {
                Rule::Adam(Adam { learning_rate, beta1, beta2, epsilon, steps })
            }
            OptimizerName::Lars => {
                let ratio = |tensor: usize| {
                    let Norms { weights, gradient, .. } = &self.norms;
                    Lars::trust_ratio(keys.trust, weights[tensor], gradient[tensor], weight_decay)
                };
                let trust_ratio = segment.tensor.filter(|_| segment.decays).map_or(1.0, ratio);
                Rule::Lars(Lars { learning_rate, momentum, trust_ratio })
            }
            OptimizerName::DiagonalLm => Rule::Diagonal(Diagonal { learning_rate, mu: keys.mu }),
            OptimizerName::Lamb => Rule::Lamb(Lamb { learning_rate, beta1, beta2, epsilon, weight_decay, steps }),
        };
        Update { scaling, decay, rule }
    }

    /// The element-wise update, each of the crew's devices a part.
    fn apply<'a>(
        &self,
        crew: &mut impl Devices<D>,
        updates: &[Update],
        gradient: D::View<'_, f32>,
        parameters: D::ViewMut<'a, f32>,
        state: [Option<D::ViewMut<'a, f32>>; MOST_VECTORS],
    ) {
        let mut parameters = Strip::<D>::new(parameters);
        let mut state = state.map(|vector| vector.map(Strip::<D>::new));
        let parts = self.parts(crew.threads(), |segment, range| {
            let state = state.each_mut().map(|vector| Some(vector.as_mut()?.cut(range.len())));
            let parameters = parameters.cut(range.len());
            (updates[segment], Vectors { gradient: D::slice(gradient, range), parameters, state })
        });
        crew.each_device(parts, |device, pieces| {
            pieces.into_iter().for_each(|(update, vectors)| device.update(&update, vectors));
        });
    }

    /// LAMB's second half: each tensor goes down its direction, as far as its trust ratio says.
    fn descend(
        &self,
        crew: &mut impl Devices<D>,
        step: &Step,
        direction: D::View<'_, f32>,
        parameters: D::ViewMut<'_, f32>,
    ) {
        let mut parameters = Strip::<D>::new(parameters);
        let rate = |segment: &Segment| {
            let Norms { weights, direction, .. } = &self.norms;
            let ratio = |tensor: usize| Lamb::trust_ratio(weights[tensor], direction[tensor]);
            (step.learning_rate * segment.tensor.filter(|_| segment.decays).map_or(1.0, ratio)) as f32
        };
        let parts = self.parts(crew.threads(), |segment, range| {
            (rate(&self.segments[segment]), parameters.cut(range.len()), D::slice(direction, range))
        });
        crew.each_device(parts, |device, pieces| {
            pieces.into_iter().for_each(|(rate, parameters, direction)| device.descend(rate, direction, parameters));
        });
    }

    /// The pieces of each thread's part, in order: `piece` makes one of a segment's number and a range in it.
    fn parts<T>(&self, threads: usize, mut piece: impl FnMut(usize, Range<usize>) -> T) -> Vec<Vec<T>> {
        let mut part = |part: Range<usize>| {
            let common = self.segments.iter().map(|segment| overlap(&segment.range, &part)).enumerate();
            common.filter(|(_, range)| !range.is_empty()).map(|(segment, range)| piece(segment, range)).collect()
        };
        strips::ranges(self.len, threads).map(&mut part).collect()
    }
}

/// One step of a moving average of `len` elements, each of the crew's devices a part.
pub(super) fn average_of<D: Device>(
    crew: &mut impl Devices<D>,
    step: &AverageStep,
    values: D::View<'_, f32>,
    average: D::ViewMut<'_, f32>,
    len: usize,
) {
    let mut average = Strip::<D>::new(average);
    let part = |range: Range<usize>| (average.cut(range.len()), D::slice(values, range));
    let parts = strips::ranges(len, crew.threads()).map(part).collect();
    crew.each_device(parts, |device, (average, values)| device.moving_average(step, values, average));
}

/// What two ranges have in common, maybe nothing.
fn overlap(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}
