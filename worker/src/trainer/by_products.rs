//! By-products of the reduction: how noisy a step's gradient is, from the squared norms of the lanes' gradients, which
//! ride in the tally, and of the reduced one. `lockstep_estimators::noise` has the formulas.
//!
//! The norms of a step enter the state's window with its commit, so that a job reports the same bits whatever became of its
//! workers. Where a step has a second pass over the batch (`optimizer.sam`, `optimizer.gradient_penalty`), all norms are of
//! the first, which has the plain gradients at the weights; where each lane has one, plain gradients are never added up, and nothing is
//! told. Where the batch grows, or a run goes on with other settings of what a lane's gradient is, the window begins
//! anew with the first step of the new kind ([`Kinds`]), finite or not. Of its own kind, a step that is not finite and
//! committed nevertheless (`schedule.on_nonfinite = "continue"`) leaves the window as it was.

use lockstep_collective::Tally;
use lockstep_estimators::noise::{Estimate, Scale, Step, Window};
use lockstep_kernels::device::Device;
use lockstep_proto::job::{AscentOver, Batch, Job, is_means};
use lockstep_proto::wire;

use super::crew::Devices;
use super::measures;
use super::optimizer::Blocks;
use crate::model::Model;

/// Measures a job's steps.
pub(super) struct ByProducts<D: Device> {
    names: Vec<String>,
    /// One a layer.
    blocks: Blocks<D>,
    /// ‖Σ s_k‖² of each layer, of the newest step.
    of_sum: Vec<f64>,
    unidentified: Option<&'static str>,
    kinds: Kinds,
}

/// Which of a job's steps tell of the same noise: those of the same batch and micro-batch, over samples that are augmented
/// and labelled alike, with the same network and loss. Where the weights are, and how fast they move, is no part of it:
/// that changes with every step.
struct Kinds {
    batch: Batch,
    settings: blake3::Hasher,
}

impl Kinds {
    fn of(job: &Job) -> Self {
        let begins = ["augment.", "data.", "loss.", "model.", "seed.augment"];
        // What weights it began with is where they are.
        let beginning = ["model.init_blake3", "model.init_from", "model.new_head"];
        let decides = |key: &str| {
            begins.iter().any(|start| key.starts_with(start)) && !is_means(key) && !beginning.contains(&key)
        };
        let mut settings = blake3::Hasher::new();
        for (key, value) in job.keys().iter().filter(|(key, _)| decides(key)) {
            settings.update(format!("{key} = {value}\n").as_bytes());
        }
        Self { batch: job.batch.clone(), settings }
    }

    /// That of an epoch's steps.
    fn of_epoch(&self, epoch: u64) -> u64 {
        let (size, micro_batch) = (self.batch.size_at(epoch), self.batch.micro_batch);
        let mut hasher = self.settings.clone();
        hasher.update(format!("{size} in lanes of {micro_batch}\n").as_bytes());
        let digits = hasher.finalize();
        digits.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

/// What is told of a step by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneNorm {
    /// Mean squared norm of the lanes' mean gradients, if it is a number.
    pub(super) squared: Option<f64>,
    /// η.
    pub(super) learning_rate: f64,
}

/// Why the by-products of a job's steps say nothing of its gradient's noise, for jobs in which they don't: where lanes are
/// not sums of samples' gradients alone. Nothing is measured then, and reports give these words.
fn unidentified(job: &Job) -> Option<&'static str> {
    if job.optimizer.scales_measured_lanes() {
        return Some("lanes are multiplied by random numbers (optimizer.noise_batch)");
    }
    let by_lanes = job.optimizer.ascends_over() == Some(AscentOver::MicroBatch);
    by_lanes.then_some("lanes contribute gradients of a second pass, not those at the weights")
}

impl<D: Device> ByProducts<D> {
    /// Of the layers of a job's model.
    pub(super) fn new(job: &Job, model: &Model<D>) -> Self {
        Self {
            names: model.layer_names().map(str::to_owned).collect(),
            blocks: Blocks::new(model.layer_ranges()),
            of_sum: Vec::new(),
            unidentified: unidentified(job),
            kinds: Kinds::of(job),
        }
    }

    /// Takes the norms of a step's reduced gradient at the weights.
    pub(super) fn measure(&mut self, crew: &mut impl Devices<D>, gradient: D::View<'_, f32>) {
        if self.unidentified.is_none() {
            self.of_sum.clear();
            self.of_sum.extend(self.blocks.squared_norms(crew, gradient));
        }
    }

    /// What the step that was measured tells. `tally`: of the same reduction. None in a job whose steps tell nothing.
    pub(super) fn of_step<'a>(&'a self, tally: &'a Tally) -> Option<Step<'a>> {
        let step =
            Step { lanes: measures::lanes(tally), of_lanes: measures::squared_norms(tally), of_sum: &self.of_sum };
        self.unidentified.is_none().then_some(step)
    }

    /// The kind of an epoch's steps: those of one kind are averaged.
    pub(super) fn kind_of(&self, epoch: u64) -> u64 {
        self.kinds.of_epoch(epoch)
    }

    /// A report's part about noise.
    pub(super) fn report(&self, window: &Window, lanes: LaneNorm) -> wire::NoiseScale {
        if let Some(reason) = self.unidentified {
            return wire::NoiseScale { reason: reason.into(), ..Default::default() };
        }
        let of_lanes = wire::NoiseScale {
            lane_squared_norm: lanes.squared,
            implicit_gradient: lanes.squared.map(|norm| lanes.learning_rate / 4.0 * norm),
            ..Default::default()
        };
        let Some(total) = window.total() else {
            let reason = if lanes.squared.is_some() {
                "needs two micro-batches a step"
            } else {
                "no step of this kind was finite yet"
            };
            return wire::NoiseScale { reason: reason.into(), ..of_lanes };
        };
        let told = Told::of(&total);
        wire::NoiseScale {
            trace: Some(total.trace),
            squared_norm: Some(total.squared_norm),
            scale: told.scale,
            low: told.low,
            high: told.high,
            above: told.above,
            steps: window.steps(),
            layers: self.names.iter().enumerate().filter_map(|(index, name)| layer(window, index, name)).collect(),
            reason: told.reason,
            ..of_lanes
        }
    }
}

impl LaneNorm {
    /// Of a step whose learning rate is this.
    pub(super) fn of(step: Option<&Step<'_>>, learning_rate: f64) -> Self {
        let squared = step.and_then(|step| step.lanes.lane_squared_norm(step.of_lanes.iter().sum()));
        Self { squared: squared.filter(|norm| norm.is_finite()), learning_rate }
    }
}

fn layer(window: &Window, index: usize, name: &str) -> Option<wire::LayerNoise> {
    let estimate = window.layer(index)?;
    let Told { scale, low, high, above, .. } = Told::of(&estimate);
    Some(wire::LayerNoise {
        name: name.to_owned(),
        trace: Some(estimate.trace),
        squared_norm: Some(estimate.squared_norm),
        scale,
        low,
        high,
        above,
    })
}

/// A scale as reports have it.
#[derive(Default)]
struct Told {
    scale: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    above: Option<f64>,
    reason: String,
}

impl Told {
    fn of(estimate: &Estimate) -> Self {
        match estimate.scale {
            Scale::Between { scale, low, high } => {
                Self { scale: Some(scale), low: Some(low), high: Some(high), ..Self::default() }
            }
            Scale::Above(bound) => Self { above: Some(bound), ..Self::default() },
            Scale::Unknown(why) => Self { reason: why.to_string(), ..Self::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use lockstep_proto::job::{Activation, Precision};

    use super::*;

    #[test]
    fn steps_are_told_apart_by_what_their_lanes_are() {
        let mut job = Job::default();
        job.batch.growth = vec![(3, 128)];
        let kind = |job: &Job, epoch| Kinds::of(job).of_epoch(epoch);
        let own = kind(&job, 0);
        assert_eq!((kind(&job, 2), kind(&job, 4)), (own, kind(&job, 3)));
        assert_ne!(kind(&job, 3), own);
        let with = |change: fn(&mut Job)| {
            let mut other = job.clone();
            change(&mut other);
            kind(&other, 0)
        };
        let alike: [fn(&mut Job); 6] = [
            |job| job.optimizer.learning_rate = 0.5,
            |job| job.cluster.workers = 3,
            |job| job.data.path = "/elsewhere".into(),
            |job| job.schedule.epochs = 9,
            |job| job.model.recompute = true,
            |job| job.model.init_from = "/elsewhere".into(),
        ];
        alike.into_iter().for_each(|change| assert_eq!(with(change), own));
        let others: [fn(&mut Job); 7] = [
            |job| job.batch.size = 96,
            |job| job.batch.micro_batch = 16,
            |job| job.loss.smoothing = 0.1,
            |job| job.seed.augment = 7,
            |job| job.data.label_noise = 0.1,
            |job| job.model.activation = Activation::Tanh,
            |job| job.model.precision = Precision::Bf16,
        ];
        others.into_iter().for_each(|change| assert_ne!(with(change), own));
    }
}
