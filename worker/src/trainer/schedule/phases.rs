//! Epochs of one batch size: how many steps they have, and where they end.

use lockstep_proto::job::{Job, LastBatch};

/// A job's epochs over its training samples.
#[derive(Clone, Debug)]
pub struct Phases {
    train_samples: u64,
    keep_last: bool,
    /// In order; the first begins with epoch 0.
    phases: Vec<Phase>,
}

/// Epochs of one batch size.
#[derive(Clone, Copy, Debug)]
struct Phase {
    first_epoch: u64,
    batch: u64,
    steps_per_epoch: u64,
    /// Steps of all epochs before.
    steps_before: u64,
}

impl Phases {
    /// The epochs of `job` over `train_samples` samples.
    ///
    /// # Errors
    /// If an epoch has no step: the line says which keys to change.
    pub fn new(job: &Job, train_samples: u64) -> Result<Self, String> {
        let keep_last = job.data.last_batch == LastBatch::Keep;
        let mut phases: Vec<Phase> = Vec::new();
        let begun = job.batch.phases().filter(|(epoch, _)| *epoch < job.schedule.epochs);
        for (epoch, size) in begun {
            let (first_epoch, batch) = (u64::from(epoch), u64::from(size));
            let steps_per_epoch = if keep_last { train_samples.div_ceil(batch) } else { train_samples / batch };
            if steps_per_epoch == 0 {
                let key = if epoch == 0 { "batch.size" } else { "batch.growth:" };
                return Err(format!(
                    "{key} {size} is larger than the {train_samples} training samples: lower it, or set \
                     data.last_batch = \"keep\"",
                ));
            }
            let steps_before = phases.last().map_or(0, |before| before.steps_to(first_epoch));
            phases.push(Phase { first_epoch, batch, steps_per_epoch, steps_before });
        }
        Ok(Self { train_samples, keep_last, phases })
    }

    /// The phase that an epoch is in.
    fn of_epoch(&self, epoch: u64) -> &Phase {
        let behind = self.phases.partition_point(|phase| phase.first_epoch <= epoch);
        &self.phases[behind - 1]
    }

    /// Steps of all epochs before this one.
    pub fn steps_before(&self, epoch: u64) -> u64 {
        self.of_epoch(epoch).steps_to(epoch)
    }

    /// Epochs that the first `steps` steps are in.
    pub fn epochs_with(&self, steps: u64) -> u64 {
        let behind = self.phases.partition_point(|phase| phase.steps_before < steps);
        let Some(phase) = behind.checked_sub(1).map(|index| &self.phases[index]) else { return 0 };
        phase.first_epoch + (steps - phase.steps_before).div_ceil(phase.steps_per_epoch)
    }

    /// Samples of the step at a position of an epoch.
    pub fn batch(&self, epoch: u64, position: u64) -> u64 {
        self.of_epoch(epoch).batch.min(self.train_samples - position)
    }

    /// Whether an epoch has no further step at this position.
    pub fn ends_at(&self, epoch: u64, position: u64) -> bool {
        let rest = self.train_samples - position;
        rest == 0 || (rest < self.of_epoch(epoch).batch && !self.keep_last)
    }
}

impl Phase {
    /// Steps of all epochs before this one, which is in this phase or at its end.
    fn steps_to(&self, epoch: u64) -> u64 {
        self.steps_before.saturating_add(self.steps_per_epoch.saturating_mul(epoch - self.first_epoch))
    }
}
