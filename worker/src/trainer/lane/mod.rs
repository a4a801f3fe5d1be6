//! A lane: its samples' pixels, forward, loss, backward, and the sums that it contributes to the reduction.
//!
//! `load` brings samples before the network, `train` computes lanes of a step, `rows` keeps what they measure, `hand`
//! adds them up in tree order, `step` says what of, `second_pass` takes a lane's gradient above the weights, `attack`
//! changes a lane's images along their gradient, and `again` computes lanes a second time to look at them. All of a
//! lane's operands and results are in the device's memory: the host asks for a hand's lanes one after the other and
//! waits once, for what they come to.

mod again;
mod attack;
mod hand;
mod load;
mod product;
mod rows;
mod second_pass;
mod step;
mod train;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lockstep_kernels::cross_entropy::{ClassesSize, MixedLabels};
use lockstep_kernels::device::{ActivationShape, Device, LossOutput};
use lockstep_kernels::map_loss::MapLossSize;
use lockstep_kernels::pixels::PixelsSize;

use super::ascent::Ascent;
use super::loss::Loss;
use super::upload::Upload;
use crate::layers::MicroBatch;
use crate::model::{Activations, CurvatureMemory, Model, TangentMemory, Weights};
use lockstep_dataset::corruption::CorruptionMemory;
use lockstep_dataset::dataset::Dataset;
use lockstep_dataset::loader::{Decoded, Loader};
use lockstep_dataset::{DataError, Mixing, SampleReader};

use attack::Attack;
use hand::Made;
pub(super) use load::lane_positions;
use rows::{Row, Rows};
use second_pass::Above;
pub use step::{Change, Evaluation, Pass, Pulse, Source, TrainStep};

/// What all lanes of a job have in common. Nothing in it changes from step to step.
pub struct Work<D: Device> {
    /// The network.
    pub model: Model<D>,
    /// All samples.
    pub dataset: Arc<Dataset>,
    /// Threads that read lanes before they are computed; none where lane threads do.
    pub loader: Option<Loader>,
    /// How samples are read; each lane thread has its own.
    pub reader: SampleReader,
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
    /// How training samples are mixed, if they are.
    pub mixing: Option<Mixing>,
    /// Samples that can't be decoded and are left out: at most so many in an epoch or an evaluation.
    pub skip_bad: u64,
    /// Counts in a tally, see [`super::measures::counts`].
    pub counts: usize,
    /// The second pass of each lane, if it goes its own way up.
    pub lane_ascent: Option<Ascent>,
    /// The network with a way back to its input, for probes that want one.
    pub attacked: Option<Model<D>>,
}

/// Where the time of one lane thread went, since it was last asked. Of a GPU's work the waiting is seen, behind a hand's
/// lanes, and counts as backward.
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
    /// For products with the Hessian; none before the first.
    tangents: Option<TangentMemory<D>>,
    /// For gradients above the weights; none before the first.
    above: Option<Above<D>>,
    /// For gradients of the input; none before the first.
    attack: Option<Attack<D>>,
    reader: SampleReader,
    unread: Option<DataError>,
    /// The lane at hand, if it was read before, and how many of its samples were gone through.
    decoded: Option<(Arc<Decoded>, usize)>,
    /// Samples that evaluations have left out.
    skipped: Vec<u64>,
    fills_up: bool,
    /// The lane's samples: what ops see of them, and their ids.
    pixels: Upload<D, u8>,
    labels: Upload<D, u16>,
    keys: Upload<D, u64>,
    ids: Vec<u64>,
    /// Of samples that are mixed, for each the label of the smaller share, and the share of the other; else empty.
    others: Upload<D, u16>,
    shares: Upload<D, f32>,
    /// For mixing.
    mixed: Vec<u8>,
    /// For images that are changed.
    corrupted: CorruptionMemory,
    rows: Rows<D>,
    /// The layers' parts of a gradient.
    layers: D::Parts,
    /// Right halves of inner nodes of the tree, one a level.
    right_halves: Vec<Option<D::Buffer<f32>>>,
    /// The sum on its way to the host's memory, on a device that has its own.
    slot: Option<D::Buffer<f32>>,
    seconds: LaneSeconds,
    lane_digest: Option<String>,
}

impl<D: Device> LaneRunner<D> {
    /// Working memory for lanes of `work`.
    pub fn new(mut device: D, work: &Work<D>) -> Self {
        let samples = work.micro_batch as usize;
        Self {
            activations: Activations::new(&device, &work.model, samples),
            curvature: None,
            tangents: None,
            above: None,
            attack: None,
            reader: work.reader.clone(),
            unread: None,
            decoded: None,
            skipped: Vec::new(),
            fills_up: false,
            pixels: Upload::new(&mut device, samples * work.pixels.features),
            labels: Upload::new(&mut device, samples),
            keys: Upload::new(&mut device, samples * work.model.streams()),
            ids: Vec::new(),
            others: Upload::new(&mut device, if work.mixing.is_some() { samples } else { 0 }),
            shares: Upload::new(&mut device, if work.mixing.is_some() { samples } else { 0 }),
            mixed: Vec::new(),
            corrupted: CorruptionMemory::default(),
            rows: Rows::new(&device, work.layers.len(), work.counts),
            layers: device.parts(&work.layers),
            device,
            slot: None,
            right_halves: Vec::new(),
            seconds: LaneSeconds::default(),
            lane_digest: None,
        }
    }

    /// Where the time went since the last call.
    pub fn take_seconds(&mut self) -> LaneSeconds {
        std::mem::take(&mut self.seconds)
    }

    /// Class and outputs of each sample of the evaluation lane that was computed last. `outputs` (samples, classes) is
    /// overwritten; gives the classes.
    pub fn answers(&mut self, work: &Work<D>, outputs: &mut Vec<f32>) -> &[u16] {
        let (samples, classes) = (self.samples(), work.classes);
        outputs.resize(samples * classes, 0.0);
        if samples == 0 {
            return &[];
        }
        let (output, _) = self.activations.output(&self.device, &work.model, samples);
        self.device.read_activation(&ActivationShape::flat(samples, classes), output, outputs);
        &self.labels.values
    }

    /// Samples of the loaded lane.
    fn samples(&self) -> usize {
        self.labels.values.len()
    }

    fn forward(&mut self, work: &Work<D>, weights: Weights<'_, D>, row: Row, statistics: D::ViewMut<'_, f32>) {
        let batch = MicroBatch { samples: self.samples(), keys: self.keys.view() };
        work.model.forward(&mut self.device, batch, weights, &mut self.activations, statistics);
        self.loss(work, &work.model, row);
    }

    fn evaluate(&mut self, work: &Work<D>, weights: Weights<'_, D>, row: Row) {
        let batch = MicroBatch { samples: self.samples(), keys: self.keys.view() };
        work.model.evaluate(&mut self.device, batch, weights, &mut self.activations);
        self.loss(work, &work.model, row);
    }

    /// Loss and its gradient, of the model whose activations these are.
    fn loss(&mut self, work: &Work<D>, model: &Model<D>, row: Row) {
        let size = ClassesSize { samples: self.samples(), classes: work.classes };
        let Self { device, activations, labels, others, shares, rows, .. } = self;
        let (x, d_x) = activations.output(device, model, size.samples);
        let (labels, output) = (labels.view(), LossOutput { d_x, sums: rows.loss(row) });
        if let (Some(smoothing), false) = (work.loss.smoothing(), others.values.is_empty()) {
            let labels = MixedLabels { labels, others: others.view(), shares: shares.view() };
            return device.mixed_cross_entropy(&size, smoothing, x, labels, output);
        }
        loss_at(device, work.loss, &size, (x, labels), output);
    }

    fn backward(
        &mut self,
        work: &Work<D>,
        weights: Weights<'_, D>,
        gradient: D::ViewMut<'_, f32>,
        made: &mut Made<'_, D>,
    ) {
        let batch = MicroBatch { samples: self.samples(), keys: self.keys.view() };
        let mut ends = made.at.iter().copied().peekable();
        let mut tell = |device: &mut D, gradient: &mut D::ViewMut<'_, f32>, end: usize| {
            while let Some(end) = ends.next_if(|&at| at <= end) {
                made.tell(device, gradient, end);
            }
        };
        work.model.backward(&mut self.device, batch, weights, &mut self.activations, gradient, &mut tell);
    }
}

/// A loss of samples that are not mixed, and its gradient.
fn loss_at<D: Device>(
    device: &mut D,
    loss: Loss,
    size: &ClassesSize,
    (x, labels): (D::View<'_, f32>, D::View<'_, u16>),
    output: LossOutput<'_, D>,
) {
    match loss {
        Loss::CrossEntropy => device.cross_entropy(size, x, labels, output),
        Loss::SmoothedCrossEntropy { smoothing } => device.smoothed_cross_entropy(size, smoothing, x, labels, output),
        Loss::SquaredError => device.squared_error(size, x, labels, output),
        Loss::BinaryCrossEntropy => device.binary_cross_entropy(size, x, labels, output),
        Loss::Map { rubbish } => device.map_loss(&MapLossSize { classes: *size, rubbish }, x, labels, output),
    }
}

#[cfg(test)]
mod tests;
