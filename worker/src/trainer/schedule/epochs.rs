//! A job's epochs: how many steps they have, and where they end. The batch is a function of the epoch.

use lockstep_proto::job::{Job, LastBatch};

/// A job's epochs over its training samples.
#[derive(Clone, Debug)]
pub struct Epochs {
    train_samples: u64,
    keep_last: bool,
    /// In order; the first begins with epoch 0.
    stretches: Vec<Stretch>,
}

/// Epochs of one batch size.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first_epoch: u64,
    batch: u64,
    steps_per_epoch: u64,
    /// Steps of all epochs before.
    steps_before: u64,
}

impl Epochs {
    /// The epochs of `job` over `train_samples` samples.
    ///
    /// # Errors
    /// If an epoch has no step: the line says which keys to change.
    pub fn new(job: &Job, train_samples: u64) -> Result<Self, String> {
        let keep_last = job.data.last_batch == LastBatch::Keep;
        let mut stretches: Vec<Stretch> = Vec::new();
        let begun = job.batch.sizes().filter(|(epoch, _)| *epoch < job.schedule.epochs);
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
            let steps_before = stretches.last().map_or(0, |before| before.steps_to(first_epoch));
            stretches.push(Stretch { first_epoch, batch, steps_per_epoch, steps_before });
        }
        Ok(Self { train_samples, keep_last, stretches })
    }

    /// The stretch that an epoch is in.
    fn of_epoch(&self, epoch: u64) -> &Stretch {
        let behind = self.stretches.partition_point(|stretch| stretch.first_epoch <= epoch);
        &self.stretches[behind - 1]
    }

    /// Steps of all epochs before this one.
    pub fn steps_before(&self, epoch: u64) -> u64 {
        self.of_epoch(epoch).steps_to(epoch)
    }

    /// Epochs that the first `steps` steps are in.
    pub fn epochs_with(&self, steps: u64) -> u64 {
        let behind = self.stretches.partition_point(|stretch| stretch.steps_before < steps);
        let Some(stretch) = behind.checked_sub(1).map(|index| &self.stretches[index]) else { return 0 };
        stretch.first_epoch + (steps - stretch.steps_before).div_ceil(stretch.steps_per_epoch)
    }

    /// Samples of the step at a position of an epoch.
    pub fn batch(&self, epoch: u64, position: u64) -> u64 {
        self.of_epoch(epoch).batch.min(self.train_samples - position)
    }

    /// Samples that a step may have.
    pub fn batches(&self) -> impl Iterator<Item = u64> {
        self.stretches.iter().flat_map(|stretch| {
            let rest = if self.keep_last { self.train_samples % stretch.batch } else { 0 };
            [stretch.batch.min(self.train_samples), rest]
        })
    }

    /// Whether an epoch has no further step at this position.
    pub fn ends_at(&self, epoch: u64, position: u64) -> bool {
        let rest = self.train_samples - position;
        rest == 0 || (rest < self.of_epoch(epoch).batch && !self.keep_last)
    }
}

impl Stretch {
    /// Steps of all epochs before this one, which is in this stretch or at its end.
    fn steps_to(&self, epoch: u64) -> u64 {
        self.steps_before.saturating_add(self.steps_per_epoch.saturating_mul(epoch - self.first_epoch))
    }
}
