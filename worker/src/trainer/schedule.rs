//! Which samples a step takes and with which learning rate: pure functions of the job and the cursor.

use lockstep_proto::job::{Course, Job, LastBatch, RateScaling};

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
    train_samples: u64,
    batch: u64,
    micro_batch: u64,
    keep_last: bool,
    epochs: u64,
    max_steps: u64,
    learning_rate: f64,
    course: Course,
}

impl Schedule {
    /// The course of `job` over `train_samples` samples.
    ///
    /// # Errors
    /// If an epoch has no step: the line says which keys to change.
    pub fn new(job: &Job, train_samples: u64) -> Result<Self, String> {
        let schedule = Self {
            train_samples,
            batch: job.batch.size.into(),
            micro_batch: job.batch.micro_batch.into(),
            keep_last: job.data.last_batch == LastBatch::Keep,
            epochs: job.schedule.epochs.into(),
            max_steps: if job.schedule.max_steps == 0 { u64::MAX } else { job.schedule.max_steps },
            learning_rate: scaled_rate(job),
            course: job.schedule.learning_rate,
        };
        if schedule.steps_per_epoch() == 0 {
            return Err(format!(
                "batch.size {} is larger than the {train_samples} training samples: lower it, or set \
                 data.last_batch = \"keep\"",
                schedule.batch
            ));
        }
        Ok(schedule)
    }

    fn steps_per_epoch(&self) -> u64 {
        if self.keep_last { self.train_samples.div_ceil(self.batch) } else { self.train_samples / self.batch }
    }

    /// Steps of the whole job.
    pub fn total_steps(&self) -> u64 {
        self.steps_per_epoch().saturating_mul(self.epochs).min(self.max_steps)
    }

    /// Epochs of the whole job, the last maybe cut short.
    pub fn total_epochs(&self) -> u64 {
        self.total_steps().div_ceil(self.steps_per_epoch())
    }

    /// The step at the cursor; none once the job is done.
    pub fn step(&self, cursor: &Cursor) -> Option<StepPlan> {
        if cursor.step >= self.total_steps() {
            return None;
        }
        let samples = self.batch.min(self.train_samples - cursor.position);
        let lanes = samples.div_ceil(self.micro_batch) as u32;
        Some(StepPlan { epoch: cursor.epoch, first: cursor.position, samples, lanes })
    }

    /// The cursor behind a committed step.
    pub fn advance(&self, cursor: &Cursor, plan: &StepPlan) -> Cursor {
        let position = plan.first + plan.samples;
        let rest = self.train_samples - position;
        let epoch_ends = rest == 0 || (rest < self.batch && !self.keep_last);
        Cursor {
            epoch: cursor.epoch + u64::from(epoch_ends),
            position: if epoch_ends { 0 } else { position },
            step: cursor.step + 1,
            samples: cursor.samples + plan.samples,
        }
    }

    /// η of the step that takes the count of committed steps from `step` to `step + 1`.
    pub fn learning_rate(&self, step: u64) -> f64 {
        match self.course {
            Course::Constant => self.learning_rate,
            Course::Cosine => {
                let done = step as f64 / self.total_steps() as f64;
                self.learning_rate * 0.5 * (1.0 + cos_pi(done))
            }
        }
    }
}

/// `optimizer.learning_rate` for this job's batch.
fn scaled_rate(job: &Job) -> f64 {
    let times = f64::from(job.batch.size) / f64::from(job.optimizer.base_batch);
    match job.optimizer.scaling {
        RateScaling::None => job.optimizer.learning_rate,
        RateScaling::Linear => job.optimizer.learning_rate * times,
        RateScaling::Sqrt => job.optimizer.learning_rate * times.sqrt(),
    }
}

/// cos(π·t) for t in [0, 1], absolute error below 1e-14: our own, since the host's libm is not the same everywhere
/// and the learning rate goes into the weights.
fn cos_pi(t: f64) -> f64 {
    // cos(π t) = −cos(π (1 − t)) brings t to [0, ½]; there the series converges fast.
    if t > 0.5 {
        return -cos_pi(1.0 - t);
    }
    let square = (std::f64::consts::PI * t).powi(2);
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=12 {
        term *= -square / f64::from((2 * n - 1) * (2 * n));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(text: &str) -> Job {
        let mut job = Job::default();
        for line in text.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once('=').unwrap();
            let number: u32 = value.trim().parse().unwrap();
            match key.trim() {
                "size" => job.batch.size = number,
                "micro_batch" => job.batch.micro_batch = number,
                "epochs" => job.schedule.epochs = number,
                "max_steps" => job.schedule.max_steps = number.into(),
                "keep" => job.data.last_batch = LastBatch::Keep,
                other => panic!("{other}"),
            }
        }
        job
    }

    /// The steps as "epoch:first+samples/lanes".
    fn check(text: &str, samples: u64, expected: &str) {
        let schedule = Schedule::new(&job(text), samples).unwrap();
        let mut cursor = Cursor::default();
        let mut steps = Vec::new();
        while let Some(plan) = schedule.step(&cursor) {
            steps.push(format!("{}:{}+{}/{}", plan.epoch, plan.first, plan.samples, plan.lanes));
            cursor = schedule.advance(&cursor, &plan);
        }
        assert_eq!(steps.join(" "), expected);
        assert_eq!(cursor.step, schedule.total_steps());
    }

    #[test]
    fn a_short_last_batch_is_dropped() {
        check("size=4; micro_batch=2; epochs=2", 11, "0:0+4/2 0:4+4/2 1:0+4/2 1:4+4/2");
    }

    #[test]
    fn a_short_last_batch_is_kept_with_fewer_lanes() {
        check("size=4; micro_batch=2; epochs=1; keep=1", 9, "0:0+4/2 0:4+4/2 0:8+1/1");
        check("size=4; micro_batch=2; epochs=2; keep=1", 3, "0:0+3/2 1:0+3/2");
    }

    #[test]
    fn steps_can_be_limited() {
        check("size=4; micro_batch=4; epochs=9; max_steps=3", 8, "0:0+4/1 0:4+4/1 1:0+4/1");
    }

    #[test]
    fn an_epoch_without_a_step_is_refused() {
        let error = Schedule::new(&job("size=64; micro_batch=32"), 63).unwrap_err();
        assert!(error.contains("batch.size 64") && error.contains("63"), "{error}");
    }

    #[test]
    fn cosine_is_close_to_the_true_one() {
        for i in 0..=1000 {
            let t = f64::from(i) / 1000.0;
            assert!((cos_pi(t) - (std::f64::consts::PI * t).cos()).abs() < 1e-14, "{t}");
        }
    }
}
