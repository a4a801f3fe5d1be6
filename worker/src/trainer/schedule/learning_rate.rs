//! The learning rate's course: a pure function of the job and how far it is, in f64 by our own functions, since it goes
//! into the weights.

use lockstep_kernels::scalar::{cos_pi, power, power_of_real};
use lockstep_proto::job::{Course, Job, RateScaling};

/// How far a job is, before a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The epoch, from 0.
    pub epoch: u64,
    /// Steps committed.
    pub step: u64,
}

/// A job's learning rate.
#[derive(Clone, Debug)]
pub struct LearningRate {
    keys: lockstep_proto::job::Schedule,
    /// `optimizer.learning_rate`, scaled.
    base: f64,
    /// What scales it.
    scale: f64,
    /// Steps of the rise at the start.
    warmup: u64,
    /// Steps of the whole job.
    total: u64,
}

impl LearningRate {
    /// The course of `job`, which has `total` steps, with a rise over the first `warmup` of them.
    pub fn new(job: &Job, warmup: u64, total: u64) -> Self {
        let scale = scale(job);
        Self { keys: job.schedule.clone(), base: job.optimizer.learning_rate * scale, scale, warmup, total }
    }

    /// η of the step that is taken at `moment`.
    pub fn at(&self, moment: Moment) -> f64 {
        let course = match self.keys.learning_rate {
            Course::Constant => self.base,
            Course::Step => self.base * power(self.keys.step_factor, moment.epoch / u64::from(self.keys.step_every)),
            Course::MultiStep => {
                let changes = self.keys.step_at.iter().filter(|&&at| u64::from(at) <= moment.epoch).count();
                self.base * power(self.keys.step_factor, changes as u64)
            }
            Course::Cosine => between(self.base * self.keys.end_factor, self.base, half_cosine(self.done(moment))),
            Course::Polynomial => {
                let left = power_of_real(1.0 - self.done(moment), self.keys.power);
                between(self.base * self.keys.end_factor, self.base, left)
            }
            Course::OneCycle => self.one_cycle(moment.step),
            Course::Table => self.table(moment.epoch) * self.scale,
        };
        course * self.rise(moment.step)
    }

    /// The part of the steps behind the warm-up that is done.
    fn done(&self, moment: Moment) -> f64 {
        let course = self.total.saturating_sub(self.warmup).max(1);
        (moment.step.saturating_sub(self.warmup) as f64 / course as f64).min(1.0)
    }

    /// The warm-up's factor: linear from `warmup_factor` to 1 (Goyal et al. 2017, §2.2; PyTorch's `LinearLR`).
    fn rise(&self, step: u64) -> f64 {
        if step >= self.warmup {
            return 1.0;
        }
        let from = self.keys.warmup_factor;
        from + (1.0 - from) * (step as f64 / self.warmup as f64)
    }

    /// PyTorch's `OneCycleLR` of two phases: the peak is at step `peak·total − 1`, the end at step `total − 1`.
    fn one_cycle(&self, step: u64) -> f64 {
        let (step, total) = (step as f64, self.total as f64);
        let (peak, end) = (self.keys.peak * total - 1.0, total - 1.0);
        let (start_rate, end_rate) = (self.base * self.keys.start_factor, self.base * self.keys.end_factor);
        if step <= peak && peak > 0.0 {
            return between(self.base, start_rate, half_cosine(step / peak));
        }
        let fallen = ((step - peak) / (end - peak)).clamp(0.0, 1.0);
        between(end_rate, self.base, half_cosine(fallen))
    }

    fn table(&self, epoch: u64) -> f64 {
        let mut end = 0;
        let current = self.keys.table.iter().find(|(epochs, _)| {
            end += u64::from(*epochs);
            epoch < end
        });
        current.or(self.keys.table.last()).map_or(self.base, |(_, rate)| *rate)
    }
}

/// `low + (high − low) · part`.
fn between(low: f64, high: f64, part: f64) -> f64 {
    low + (high - low) * part
}

/// ½(1 + cos πt): from 1 to 0.
fn half_cosine(t: f64) -> f64 {
    0.5 * (1.0 + cos_pi(t))
}

/// What the batch multiplies learning rates by.
fn scale(job: &Job) -> f64 {
    let times = f64::from(job.batch.size) / f64::from(job.optimizer.base_batch);
    match job.optimizer.scaling {
        RateScaling::None => 1.0,
        RateScaling::Linear => times,
        RateScaling::Sqrt => times.sqrt(),
    }
}
