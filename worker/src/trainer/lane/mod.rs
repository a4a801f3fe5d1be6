//! A lane: its samples' pixels, forward, loss, backward, and the sums that it contributes to the reduction.
//!
//! `load` brings samples before the network, `train` computes lanes of a step, `subtree` adds them up in tree order,
//! `step` says what of, `step_up` takes a lane's gradient above the weights, and `again` computes lanes a second time to
//! look at them.

mod again;
mod load;
mod step;
mod step_up;
mod subtree;
mod train;

use std::ops::Range;
use std::time::Duration;

use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::device::{ActivationShape, Device, LossSums};
use lockstep_kernels::map_loss::MapLossSize;
use lockstep_kernels::pixels::PixelsSize;

use super::loss::Loss;
use crate::data::augment::{self, Augmentation};
use crate::data::dataset::Dataset;
use crate::layers::MicroBatch;
use crate::model::{Activations, CurvatureMemory, Model, Weights};

pub use step::{Evaluation, Pass, Pulse, TrainStep};
use step_up::Above;

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
    /// ρ of sharpness-aware minimisation, if each lane goes its own way up.
    pub lane_sam: Option<f64>,
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
    /// For gradients above the weights; none before the first.
    above: Option<Above<D>>,
    bytes: Vec<u8>,
    augmenting: augment::Memory,
    labels: Vec<u16>,
    ids: Vec<u64>,
    keys: Vec<u64>,
    /// Right halves of inner nodes of the tree, one a level.
    right_halves: Vec<Option<D::Buffer<f32>>>,
    /// The sum on its way to the host's memory, on a device that has its own.
    slot: Option<D::Buffer<f32>>,
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
            above: None,
            bytes: Vec::new(),
            augmenting: augment::Memory::default(),
            labels: Vec::new(),
            ids: Vec::new(),
            keys: Vec::new(),
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
        let (samples, classes) = (self.labels.len(), work.classes);
        outputs.resize(samples * classes, 0.0);
        let (output, _) = self.activations.output(&self.device, &work.model, samples);
        self.device.read_activation(&ActivationShape::flat(samples, classes), output, outputs);
        &self.labels
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
