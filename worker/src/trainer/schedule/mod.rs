//! Which samples a step takes and with which learning rate: pure functions of the job and the cursor.

mod epochs;
mod learning_rate;

use std::collections::BTreeSet;

use lockstep_proto::job::Job;

use epochs::Epochs;
use learning_rate::{LearningRate, Moment};

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Epochs done.
    pub epoch: u64,
    /// Next position of this epoch's order.
    pub position: u64,
    /// Steps committed; only counts.
    pub step: u64,
    /// Samples committed, over all epochs.
    pub samples: u64,
}

impl Cursor {
    /// As words: part of what is shared and digested.
    pub fn words(&self) -> [u64; 4] {
        [self.epoch, self.position, self.step, self.samples]
    }
}

/// The samples of one step: positions `first..first + samples` of the epoch's order, `micro_batch` a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepPlan {
    /// The epoch, from 0.
    pub epoch: u64,
    /// First position.
    pub first: u64,
    /// Samples, B; fewer in a short last batch that is kept.
    pub samples: u64,
    /// Lanes, ⌈samples / b⌉.
    pub lanes: u32,
}

/// A job's course over its training samples.
#[derive(Clone, Debug)]
pub struct Schedule {
    epochs: Epochs,
    micro_batch: u64,
    total_steps: u64,
    learning_rate: LearningRate,
}

impl Schedule {
    /// The course of `job` over `train_samples` samples.
    ///
    /// # Errors
    /// If an epoch has no step: the line says which keys to change.
    pub fn new(job: &Job, train_samples: u64) -> Result<Self, String> {
        let epochs = Epochs::new(job, train_samples)?;
        let max_steps = if job.schedule.max_steps == 0 { u64::MAX } else { job.schedule.max_steps };
        let total_steps = epochs.steps_before(job.schedule.epochs.into()).min(max_steps);
        let warmup = job.schedule.warmup_steps.max(epochs.steps_before(job.schedule.warmup_epochs.into()));
        let learning_rate = LearningRate::new(job, warmup, total_steps);
        Ok(Self { epochs, micro_batch: job.batch.micro_batch.into(), total_steps, learning_rate })
    }

    /// Steps of the whole job.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Epochs of the whole job, the last maybe cut short.
    pub fn total_epochs(&self) -> u64 {
        self.epochs.epochs_with(self.total_steps)
    }

    /// Steps of all epochs before this one.
    pub fn steps_before(&self, epoch: u64) -> u64 {
        self.epochs.steps_before(epoch).min(self.total_steps)
    }

    /// Samples that a lane of a step may have, each count once.
    pub fn lane_sizes(&self) -> BTreeSet<u64> {
        lane_sizes(self.epochs.batches(), self.micro_batch)
    }

    /// The step at the cursor; none once the job is done.
    pub fn step(&self, cursor: &Cursor) -> Option<StepPlan> {
        if cursor.step >= self.total_steps {
            return None;
        }
        let samples = self.epochs.batch(cursor.epoch, cursor.position);
        let lanes = samples.div_ceil(self.micro_batch) as u32;
        Some(StepPlan { epoch: cursor.epoch, first: cursor.position, samples, lanes })
    }

    /// The cursor behind a committed step.
    pub fn advance(&self, cursor: &Cursor, plan: &StepPlan) -> Cursor {
        let position = plan.first + plan.samples;
        let epoch_ends = self.epochs.ends_at(plan.epoch, position);
        Cursor {
            epoch: cursor.epoch + u64::from(epoch_ends),
            position: if epoch_ends { 0 } else { position },
            step: cursor.step + 1,
            samples: cursor.samples + plan.samples,
        }
    }

    /// η of the step at the cursor.
    pub fn learning_rate(&self, cursor: &Cursor) -> f64 {
        self.learning_rate.at(Moment { epoch: cursor.epoch, step: cursor.step })
    }
}

/// Samples that lanes of these batches have, `micro_batch` each but for a batch's last, each count once.
pub fn lane_sizes(batches: impl IntoIterator<Item = u64>, micro_batch: u64) -> BTreeSet<u64> {
    let lanes = batches.into_iter().flat_map(|samples| [micro_batch.min(samples), samples % micro_batch]);
    lanes.filter(|size| *size > 0).collect()
}

#[cfg(test)]
mod tests;
