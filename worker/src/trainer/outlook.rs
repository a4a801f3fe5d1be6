//! What training a job will take, worked out from the job and its dataset: no step is computed.

use std::ops::Range;

use lockstep_dataset::dataset::{Dataset, Split};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_proto::job::Job;

use super::TrainerError;
use super::memory::of_state;
use super::prepare;
use super::probes::{self, ProbeOutlook};
use super::schedule::{Cursor, Schedule};
use crate::datasets;

/// What is known beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The dataset's id.
    pub dataset: String,
    /// Samples to train on, held out, and to test on.
    pub samples: [u64; 3],
    /// Bytes of shards for each training sample, on average; none where samples live in memory.
    pub stored_bytes: Option<u64>,
    /// Rows and columns of an image, as the network takes it.
    pub sides: [usize; 2],
    /// Channels of an image.
    pub channels: usize,
    /// Parameters of the network, running statistics aside.
    pub parameters: usize,
    /// Epochs and steps of the whole job.
    pub epochs: u64,
    /// See `epochs`.
    pub steps: u64,
    /// Each size of batch: the first epoch with it, its samples and lanes, and an epoch's steps.
    pub batches: Vec<BatchOutlook>,
    /// Learning rates of the first step of some epochs: those where it begins, is highest, and ends.
    pub learning_rates: Vec<(u64, f64)>,
    /// Bytes of the job's state: parameters, optimiser, averages.
    pub state_bytes: usize,
    /// Its probes.
    pub probes: Vec<ProbeOutlook>,
    /// Bytes of a lane of one micro-batch on a CPU's thread: activations and samples.
    pub lane_bytes: usize,
}

/// A stretch of epochs with batches of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOutlook {
    /// Its first epoch.
    pub epoch: u64,
    /// Samples of a batch.
    pub samples: u64,
    /// Lanes of a batch.
    pub lanes: u32,
    /// Steps of an epoch.
    pub steps: u64,
}

impl Outlook {
    /// Works out a job.
    ///
    /// # Errors
    /// What a trainer would fail with at its start.
    pub fn of(job: &Job) -> Result<Self, TrainerError> {
        Self::over(job, datasets::open(&job.data, &[])?)
    }

    /// Works out a job whose data are not here, as if they had so many samples: what can be said without them.
    ///
    /// # Errors
    /// What a trainer would fail with at its start, but for what only the data tell.
    pub fn assuming(job: &Job, samples: u64) -> Result<Self, TrainerError> {
        Self::over(job, Dataset::assumed(&job.data, samples).map_err(TrainerError::Job)?)
    }

    fn over(job: &Job, dataset: Dataset) -> Result<Self, TrainerError> {
        let samples = [Split::Train, Split::Validation, Split::Test].map(|split| dataset.len(split));
        let schedule = Schedule::new(job, samples[0]).map_err(TrainerError::Job)?;
        let work = prepare::work::<Cpu>(job, dataset)?;
        probes::check(job, &work)?;
        let (device, samples_a_lane) = (Cpu::new(InstructionSet::detect()), job.batch.micro_batch as usize);
        let values: usize =
            work.model.needs(work.model.plan(), &device, samples_a_lane).iter().map(|need| need.bytes).sum();
        let lane_bytes = values + samples_a_lane * work.pixels.features;
        let state_bytes = size_of::<f32>() * of_state(job, &work.model);
        Ok(Self {
            dataset: work.dataset.id().to_owned(),
            samples,
            stored_bytes: work.dataset.stored_bytes(),
            sides: [work.dataset.height(), work.dataset.width()],
            channels: work.dataset.channels(),
            parameters: work.model.parameters(),
            epochs: schedule.total_epochs(),
            steps: schedule.total_steps(),
            batches: batches(&schedule),
            learning_rates: learning_rates(&schedule),
            state_bytes,
            probes: ProbeOutlook::of(job, &work.dataset, schedule.total_steps()),
            lane_bytes,
        })
    }
}

/// Positions of a step of an epoch over `train_samples`, both counted from 0.
///
/// # Errors
/// In words, if the job has no such step.
pub fn positions_of_step(job: &Job, train_samples: u64, epoch: u64, step: u64) -> Result<Range<u64>, String> {
    let schedule = Schedule::new(job, train_samples)?;
    let (first, behind) = (schedule.steps_before(epoch), schedule.steps_before(epoch.saturating_add(1)));
    if step >= behind - first {
        let steps = behind - first;
        return Err(format!("--step {step}: epoch {epoch} of {train_samples} samples has {steps} steps"));
    }
    let mut cursor = first_step(&schedule, epoch);
    loop {
        let plan = schedule.step(&cursor).ok_or("the job has no such step")?;
        if cursor.step == first + step {
            return Ok(plan.first..plan.first + plan.samples);
        }
        cursor = schedule.advance(&cursor, &plan);
    }
}

fn first_step(schedule: &Schedule, epoch: u64) -> Cursor {
    Cursor { epoch, step: schedule.steps_before(epoch), ..Cursor::default() }
}

fn batches(schedule: &Schedule) -> Vec<BatchOutlook> {
    let mut batches: Vec<BatchOutlook> = Vec::new();
    for epoch in 0..schedule.total_epochs() {
        let Some(plan) = schedule.step(&first_step(schedule, epoch)) else { break };
        let steps = schedule.steps_before(epoch + 1) - schedule.steps_before(epoch);
        let batch = BatchOutlook { epoch, samples: plan.samples, lanes: plan.lanes, steps };
        if batches.last().is_none_or(|last| last.samples != batch.samples) {
            batches.push(batch);
        }
    }
    batches
}

/// Of the first epoch, those in which it turns, and the last.
fn learning_rates(schedule: &Schedule) -> Vec<(u64, f64)> {
    let epochs = schedule.total_epochs();
    let rates: Vec<f64> = (0..epochs).map(|epoch| schedule.learning_rate(&first_step(schedule, epoch))).collect();
    let turns = |epoch: usize| {
        let change = |at: usize| rates[at] - rates[at - 1];
        epoch == 0
            || epoch + 1 == rates.len()
            || (change(epoch) - change(epoch + 1)).abs() > 1e-9 * rates[epoch].abs().max(rates[epoch - 1])
    };
    (0..rates.len()).filter(|epoch| turns(*epoch)).map(|epoch| (epoch as u64, rates[epoch])).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_recipe_is_worked_out() {
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/mnist-mlp.toml");
        let settings = ["schedule.warmup_epochs=2", "schedule.learning_rate=step", "schedule.step_every=10"];
        let job = Job::load(&recipe, [], &settings.map(str::to_owned)).unwrap();
        let outlook = Outlook::of(&job).unwrap();
        assert_eq!((outlook.samples, outlook.stored_bytes), ([60_000, 0, 10_000], None));
        assert_eq!(outlook.parameters, 784 * 300 + 300 + 300 * 10 + 10);
        assert_eq!((outlook.epochs, outlook.steps), (20, 20 * 937));
        assert_eq!(outlook.batches, [BatchOutlook { epoch: 0, samples: 64, lanes: 2, steps: 937 }]);
        assert_eq!(outlook.state_bytes, 4 * outlook.parameters);
        assert!(outlook.lane_bytes > 4 * 32 * (784 + 300 + 10));
        let near = |rate: f64, wanted: f64| (rate - wanted).abs() < 1e-3 * wanted;
        let rates = &outlook.learning_rates;
        assert!(
            near(rates[0].1, 0.3) && rates.iter().any(|(epoch, rate)| *epoch == 2 && near(*rate, 3.0)),
            "{rates:?}"
        );
        assert!(rates.iter().any(|(epoch, rate)| *epoch == 10 && near(*rate, 0.3)), "{rates:?}");
    }
}
