//! One lane: its samples' pixels, forward, loss, backward, and the sums that it contributes to the reduction.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lockstep_collective::{Tally, tree};
use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::device::{Device, LossSums};
use lockstep_kernels::map_loss::MapLossSize;
use lockstep_kernels::pixels::PixelsSize;

use super::digest::digest_of;
use super::loss::Loss;
use super::measures::{self, LaneMeasures, Nonfinite};
use super::schedule::StepPlan;
use crate::data::augment::{self, Augmentation, Seen};
use crate::data::dataset::{Dataset, Split};
use crate::data::order::Order;
use crate::data::random::{Purpose, Random};
use crate::layers::MicroBatch;
use crate::model::{Activations, CurvatureMemory, Model, Weights};

/// What all lanes of a job have in common. Nothing in it changes from step to step.
pub struct Work<D: Device> {
    /// The network.
    pub model: Model<D>,
    /// All samples.
    pub dataset: Dataset,
    /// How training samples are changed, if they are.
    pub augmentation: Option<Augmentation>,
    /// What is minimised.
    pub loss: Loss,
    /// Samples a lane, b.
    pub micro_batch: u64,
    /// Pixels to inputs.
    pub pixels: PixelsSize,
    /// Parts of the flat vector whose norms are measured: one for each layer that has parameters.
    pub layers: Vec<Range<usize>>,
    /// Classes of the data.
    pub classes: usize,
    /// Seed of dropout's masks.
    pub mask_seed: u64,
}

/// Where the time of one lane thread went, since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneSeconds {
    /// Sampling, reading and converting pixels.
    pub data: Duration,
    /// Forward and loss.
    pub forward: Duration,
    /// Backward, sums and norms.
    pub backward: Duration,
}

/// A device and the working memory of one lane at a time.
pub struct LaneRunner<D: Device> {
    /// Where the lanes run.
    pub device: D,
    activations: Activations<D>,
    /// For second derivatives; none before the first.
    curvature: Option<CurvatureMemory<D>>,
    bytes: Vec<u8>,
    augmenting: augment::Memory,
    labels: Vec<u16>,
    ids: Vec<u64>,
    keys: Vec<u64>,
    /// Right halves of inner nodes of the tree, one a level.
    right_halves: Vec<Option<D::Buffer<f32>>>,
    seconds: LaneSeconds,
    lane_digest: Option<String>,
}

impl<D: Device> LaneRunner<D> {
    /// Working memory for lanes of `work`.
    pub fn new(device: D, work: &Work<D>) -> Self {
        let activations = Activations::new(&device, &work.model, work.micro_batch as usize);
        Self {
            device,
            activations,
            curvature: None,
            bytes: Vec::new(),
            augmenting: augment::Memory::default(),
            labels: Vec::new(),
            ids: Vec::new(),
            keys: Vec::new(),
            right_halves: Vec::new(),
            seconds: LaneSeconds::default(),
            lane_digest: None,
        }
    }

    /// Where the time went since the last call.
    pub fn take_seconds(&mut self) -> LaneSeconds {
        std::mem::take(&mut self.seconds)
    }

    /// Sums the gradients and tallies of `lanes`, a node of the tree, in tree order.
    pub fn train_subtree(
        &mut self,
        step: &TrainStep<'_, D>,
        lanes: Range<u32>,
        gradient: &mut D::ViewMut<'_, f32>,
    ) -> Tally {
        if lanes.len() == 1 {
            return match step.pass {
                Pass::Gradient => self.train_lane(step, lanes.start, gradient),
                Pass::Curvature => self.measure_lane(step, lanes.start, gradient),
            };
        }
        let middle = tree::middle(&lanes);
        let mut tally = self.train_subtree(step, lanes.start..middle, gradient);
        // Nodes below this one are smaller, so that a level's memory is free when a node of that level needs it.
        let level = (middle - lanes.start).ilog2() as usize;
        let len = step.work.model.len();
        let mut right = self.take_right_half(level, len);
        tally.add(&self.train_subtree(step, middle..lanes.end, &mut D::view_mut(&mut right, 0..len)));
        let start = Instant::now();
        self.device.fold_add(D::slice_mut(gradient, 0..len), D::view(&right, 0..len));
        self.seconds.backward += start.elapsed();
        self.right_halves[level] = Some(right);
        tally
    }

    fn take_right_half(&mut self, level: usize, len: usize) -> D::Buffer<f32> {
        if self.right_halves.len() <= level {
            self.right_halves.resize_with(level + 1, || None);
        }
        self.right_halves[level].take().unwrap_or_else(|| self.device.zeros(len))
    }

    fn train_lane(&mut self, step: &TrainStep<'_, D>, lane: u32, gradient: &mut D::ViewMut<'_, f32>) -> Tally {
        let work = step.work;
        if step.abort.load(Ordering::Relaxed) {
            return Tally::new(measures::sums(work.layers.len()), measures::COUNTS);
        }
        let start = Instant::now();
        let sample_hashes = self.load_train_lane(step, lane);
        let loaded = Instant::now();
        let (sums, forwarded) = self.pass(step, D::slice_mut(gradient, 0..work.model.len()));
        let len = work.model.len();
        #[cfg(feature = "fault-points")]
        if step.spoilt {
            super::fault::spoil(&mut self.device, D::slice_mut(gradient, 0..1));
        }
        if step.replayed == Some(lane) {
            let gradient = D::shared(D::slice_mut(gradient, 0..len));
            self.lane_digest = Some(digest_of(&mut self.device, gradient, len));
        }
        let norms = work.layers.iter().map(|range| {
            let layer = D::shared(D::slice_mut(gradient, 0..len));
            self.device.squared_norm(D::slice(layer, range.clone()))
        });
        let measures = LaneMeasures { sums, samples: self.labels.len() as u64, sample_hashes };
        let tally = measures::training_tally(&measures, norms.collect(), step.flags);
        self.seconds.data += loaded - start;
        self.seconds.forward += forwarded - loaded;
        self.seconds.backward += forwarded.elapsed();
        tally
    }

    /// Gathers a training lane's samples; returns the sum of their hashed ids.
    fn load_train_lane(&mut self, step: &TrainStep<'_, D>, lane: u32) -> u64 {
        let StepPlan { first, samples, epoch, .. } = step.plan;
        let positions = lane_positions(first..first + samples, lane, step.work.micro_batch);
        self.load(step.work, Split::Train, Some(epoch), positions.map(|position| step.order.sample_at(position)))
    }

    /// Writes the diagonal of the lane's second derivatives where its gradient would be.
    fn measure_lane(&mut self, step: &TrainStep<'_, D>, lane: u32, second: &mut D::ViewMut<'_, f32>) -> Tally {
        let work = step.work;
        let mut tally = Tally::new(measures::sums(work.layers.len()), measures::COUNTS);
        if step.abort.load(Ordering::Relaxed) {
            return tally;
        }
        self.load_train_lane(step, lane);
        let len = work.model.len();
        let (parameters, statistics) = D::split_mut(D::slice_mut(second, 0..len), work.model.parameters());
        self.forward(work, step.weights, statistics);
        let batch = MicroBatch { samples: self.labels.len(), keys: &self.keys };
        let memory = self
            .curvature
            .get_or_insert_with(|| CurvatureMemory::new(&self.device, &work.model, work.micro_batch as usize));
        let (device, criterion) = (&mut self.device, work.loss.criterion(work.classes));
        work.model.curvature(device, batch, step.weights, criterion, (&mut self.activations, memory), parameters);
        tally.counts[measures::SAMPLES] = batch.samples as u64;
        tally
    }

    /// Forward, loss and backward of the loaded samples; tells when the loss was there.
    fn pass(&mut self, step: &TrainStep<'_, D>, gradient: D::ViewMut<'_, f32>) -> (LossSums, Instant) {
        let work = step.work;
        let (d_parameters, mut statistics) = D::split_mut(gradient, work.model.parameters());
        let all = 0..work.model.statistics();
        #[cfg(feature = "fault-points")]
        for _ in 1..step.times {
            self.forward(work, step.weights, D::slice_mut(&mut statistics, all.clone()));
        }
        let sums = self.forward(work, step.weights, D::slice_mut(&mut statistics, all));
        let forwarded = Instant::now();
        self.backward(work, step.weights, d_parameters);
        (sums, forwarded)
    }

    /// Digest of the gradient of the step's replayed lane, if this runner has computed it since the last call.
    pub fn take_lane_digest(&mut self) -> Option<String> {
        self.lane_digest.take()
    }

    /// Computes the step's replayed lane into `gradient`, memory that nobody else reads, for its digest.
    pub fn replay_lane(&mut self, step: &TrainStep<'_, D>, gradient: &mut D::ViewMut<'_, f32>) -> Option<String> {
        self.train_lane(step, step.replayed?, gradient);
        self.take_lane_digest()
    }

    /// Computes a lane once more, into `gradient`, memory that nobody else reads, to say what of it is not finite: the
    /// first layer whose output is not, or else whose gradient is not on the way back. None if all of it is finite.
    pub fn find_nonfinite(
        &mut self,
        step: &TrainStep<'_, D>,
        lane: u32,
        gradient: &mut D::ViewMut<'_, f32>,
    ) -> Option<String> {
        let work = step.work;
        let gradient_of = |place| work.model.layer_names().nth(place).unwrap_or_default().to_owned();
        match Nonfinite::of(&self.train_lane(step, lane, gradient))? {
            Nonfinite::Gradient(place) => Some(format!("the gradient of layer {} is not finite", gradient_of(place))),
            Nonfinite::Loss => {
                // The way back has overwritten the samples.
                self.load_train_lane(step, lane);
                let batch = MicroBatch { samples: self.labels.len(), keys: &self.keys };
                let (_, statistics) =
                    D::split_mut(D::slice_mut(gradient, 0..work.model.len()), work.model.parameters());
                let (device, activations) = (&mut self.device, &mut self.activations);
                let first = work.model.first_nonfinite(device, batch, step.weights, activations, statistics);
                Some(match first {
                    Some(layer) => format!("the output of layer {layer} is not finite"),
                    None => "the loss is not finite, though the outputs of all layers are".to_owned(),
                })
            }
        }
    }

    /// Sums the tallies of evaluation `lanes`, a node of the tree, in tree order: no gradient.
    pub fn evaluate_subtree(&mut self, evaluation: &Evaluation<'_, D>, lanes: Range<u32>) -> Tally {
        let Evaluation { work, split, .. } = *evaluation;
        if lanes.len() == 1 {
            if evaluation.abort.load(Ordering::Relaxed) {
                return Tally::new(measures::sums(work.layers.len()), measures::COUNTS);
            }
            let positions = lane_positions(0..work.dataset.len(split), lanes.start, work.micro_batch);
            self.load(work, split, None, positions);
            let sums = self.evaluate(work, evaluation.weights);
            return measures::evaluation_tally(&sums, self.labels.len() as u64, work.layers.len());
        }
        let middle = tree::middle(&lanes);
        let mut tally = self.evaluate_subtree(evaluation, lanes.start..middle);
        tally.add(&self.evaluate_subtree(evaluation, middle..lanes.end));
        tally
    }

    /// Class and outputs of each sample of the evaluation lane that was computed last. `outputs` (samples, classes) is
    /// overwritten; gives the classes.
    pub fn answers(&mut self, work: &Work<D>, outputs: &mut Vec<f32>) -> &[u16] {
        let (samples, classes) = (self.labels.len(), work.classes);
        outputs.resize(samples * classes, 0.0);
        let (output, _) = self.activations.output(&self.device, &work.model, samples);
        self.device.read_activation(samples, classes, output, outputs);
        &self.labels
    }

    /// Gathers the samples and writes them to the model's input; returns the sum of hashed sample ids. `epoch`: of
    /// training.
    fn load(&mut self, work: &Work<D>, split: Split, epoch: Option<u64>, samples: impl Iterator<Item = u64>) -> u64 {
        self.bytes.clear();
        self.labels.clear();
        self.ids.clear();
        let mut hashes = 0u64;
        for sample in samples {
            let pixels = work.dataset.pixels(split, sample);
            match work.augmentation.as_ref().zip(epoch) {
                Some((augmentation, epoch)) => {
                    augmentation.append(pixels, Seen { epoch, sample }, &mut self.augmenting, &mut self.bytes);
                }
                None => self.bytes.extend_from_slice(pixels),
            }
            self.labels.push(work.dataset.label(split, sample));
            hashes = hashes.wrapping_add(measures::sample_hash(sample));
            self.ids.push(sample);
        }
        if let Some(epoch) = epoch {
            self.draw_keys(work, epoch);
        }
        let samples = self.labels.len();
        let size = PixelsSize { samples, ..work.pixels };
        let input = self.activations.input(&self.device, &work.model, samples);
        self.device.pixels_forward(&size, &self.bytes, input);
        hashes
    }

    /// Draws the samples' random numbers of an epoch.
    fn draw_keys(&mut self, work: &Work<D>, epoch: u64) {
        self.keys.clear();
        for stream in 0..work.model.streams() {
            let key = |sample: &u64| {
                let mut random = Random::new(work.mask_seed, Purpose::Dropout, epoch, *sample);
                (0..stream).for_each(|_| _ = random.next_u64());
                random.next_u64()
            };
            self.keys.extend(self.ids.iter().map(key));
        }
    }

    fn forward(&mut self, work: &Work<D>, weights: Weights<'_, D>, statistics: D::ViewMut<'_, f32>) -> LossSums {
        let batch = MicroBatch { samples: self.labels.len(), keys: &self.keys };
        work.model.forward(&mut self.device, batch, weights, &mut self.activations, statistics);
        self.loss(work)
    }

    fn evaluate(&mut self, work: &Work<D>, weights: Weights<'_, D>) -> LossSums {
        let batch = MicroBatch { samples: self.labels.len(), keys: &self.keys };
        work.model.evaluate(&mut self.device, batch, weights, &mut self.activations);
        self.loss(work)
    }

    /// Loss and its gradient.
    fn loss(&mut self, work: &Work<D>) -> LossSums {
        let samples = self.labels.len();
        let size = ClassesSize { samples, classes: work.classes };
        let (output, d_output) = self.activations.output(&self.device, &work.model, samples);
        match work.loss {
            Loss::CrossEntropy => self.device.cross_entropy(&size, output, &self.labels, d_output),
            Loss::SmoothedCrossEntropy { smoothing } => {
                self.device.smoothed_cross_entropy(&size, smoothing, output, &self.labels, d_output)
            }
            Loss::SquaredError => self.device.squared_error(&size, output, &self.labels, d_output),
            Loss::BinaryCrossEntropy => self.device.binary_cross_entropy(&size, output, &self.labels, d_output),
            Loss::Map { rubbish } => {
                self.device.map_loss(&MapLossSize { classes: size, rubbish }, output, &self.labels, d_output)
            }
        }
    }

    fn backward(&mut self, work: &Work<D>, weights: Weights<'_, D>, gradient: D::ViewMut<'_, f32>) {
        let batch = MicroBatch { samples: self.labels.len(), keys: &self.keys };
        work.model.backward(&mut self.device, batch, weights, &mut self.activations, gradient);
    }
}

/// What lanes compute of their samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Gradients, the loss and its measures.
    Gradient,
    /// Second derivatives alone.
    Curvature,
}

/// What all lanes of one training step have in common.
pub struct TrainStep<'a, D: Device> {
    /// Network and data.
    pub work: &'a Work<D>,
    /// The committed parameters and running statistics.
    pub weights: Weights<'a, D>,
    /// The step's positions.
    pub plan: StepPlan,
    /// The epoch's order.
    pub order: &'a Order,
    /// What is computed.
    pub pass: Pass,
    /// Bits that this worker adds to the reduction, see [`measures`].
    pub flags: u64,
    /// Once set, no further lane is computed, and what was computed is of no use.
    pub abort: &'a AtomicBool,
    /// The lane whose gradient's digest is taken.
    pub replayed: Option<u32>,
    /// Whether this worker computes wrongly.
    #[cfg(feature = "fault-points")]
    pub spoilt: bool,
    /// How often the forward pass is made.
    #[cfg(feature = "fault-points")]
    pub times: u32,
}

impl<'a, D: Device> TrainStep<'a, D> {
    /// A step that nobody wishes or checks anything in.
    pub fn new(
        work: &'a Work<D>,
        weights: Weights<'a, D>,
        plan: StepPlan,
        order: &'a Order,
        abort: &'a AtomicBool,
    ) -> Self {
        Self {
            work,
            weights,
            plan,
            order,
            pass: Pass::Gradient,
            flags: 0,
            abort,
            replayed: None,
            #[cfg(feature = "fault-points")]
            spoilt: false,
            #[cfg(feature = "fault-points")]
            times: 1,
        }
    }
}

/// What all lanes of one evaluation have in common.
pub struct Evaluation<'a, D: Device> {
    /// Network and data.
    pub work: &'a Work<D>,
    /// The committed parameters and running statistics.
    pub weights: Weights<'a, D>,
    /// Over which samples.
    pub split: Split,
    /// As in [`TrainStep`].
    pub abort: &'a AtomicBool,
}

/// Lane `lane`'s share of `positions`, `micro_batch` a lane; the last may be short.
fn lane_positions(positions: Range<u64>, lane: u32, micro_batch: u64) -> Range<u64> {
    let start = positions.start + u64::from(lane) * micro_batch;
    start..(start + micro_batch).min(positions.end)
}
