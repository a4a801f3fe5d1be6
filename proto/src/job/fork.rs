//! A job that branches off another at a step: it shares the state there, the network and the order of samples, and has
//! other settings from there on.

use toml::{Table, Value};

use super::error::JobError;
use super::layer::Layer;
use super::load::merge;
use super::spec::Job;
use super::text::is_means;

/// Where a job branches off: the cursor of the state that it starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkPoint {
    /// The epoch, from 0.
    pub epoch: u64,
    /// Samples of the epoch that are in committed steps.
    pub position: u64,
}

impl ForkPoint {
    /// The first epoch of which no step is committed.
    fn next_epoch(self) -> u64 {
        self.epoch + u64::from(self.position > 0)
    }
}

/// Settings that no fork can have, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// They are no job's.
    #[error(transparent)]
    Job(#[from] JobError),
    /// They are, but no fork's.
    #[error("{0}")]
    Refused(String),
}

/// Keys that state or order depend on, by how they begin, and why they stay.
const SHARED: [(&str, &str); 4] = [
    ("data.", "both runs have the same samples in the same order"),
    ("model.", "the state is this network's"),
    ("seed.init", "the initial weights lie behind the fork"),
    ("seed.order", "both runs have the same samples in the same order"),
];

impl Job {
    /// The job that branches off this one at `point` with these keys set, as in [`Job::load`]. Another `batch.size`
    /// begins with the next epoch, so that the steps of the one under way take the same positions; it takes the place of
    /// all growth from there on. All other keys count at once.
    ///
    /// # Errors
    /// If the keys are no job's, or change what state or order depend on, or the batch of an epoch that has begun.
    pub fn forked(&self, overrides: &[String], point: ForkPoint) -> Result<Self, ForkError> {
        let mut layers = vec![Layer { origin: "the run's job".to_owned(), table: self.to_table() }];
        for text in overrides {
            layers.push(Layer::of_override(text)?);
        }
        let sets = |key| layers[1..].iter().any(|layer| says(&layer.table, "batch", key));
        let (size, growth) = (sets("size"), sets("growth"));
        if size && !growth {
            layers.push(Layer::of_override("batch.growth=[]")?);
        }
        let mut job = merge(&layers)?;
        self.check_shared(&job)?;
        if size {
            self.begin_batch(&mut job, point)?;
        }
        self.check_batches(&job, point)?;
        // The batches before the fork stay in it, and have to be whole lanes too.
        Self::from_toml(&job.to_toml()).map_err(|error| match error {
            JobError::Invalid { problem, .. } => {
                ForkError::Refused(format!("with the batches before the fork, {problem}"))
            }
            other => other.into(),
        })
    }

    fn check_shared(&self, job: &Self) -> Result<(), ForkError> {
        for difference in self.differences(job) {
            let begins = |(start, _): &&(&str, &str)| difference.key.starts_with(start);
            let shared = SHARED.iter().find(begins).filter(|_| !is_means(&difference.key));
            if let Some((_, why)) = shared {
                let (key, was, wished) = (&difference.key, &difference.first, &difference.second);
                let line = format!(
                    "`{key}` = {wished} is no setting for a fork, since {why}: leave it at {was}, or train anew"
                );
                return Err(ForkError::Refused(line));
            }
        }
        Ok(())
    }

    /// Has the batch that `job` wishes for begin with the first epoch that it can.
    fn begin_batch(&self, job: &mut Self, point: ForkPoint) -> Result<(), ForkError> {
        let (size, next) = (job.batch.size, point.next_epoch());
        if next == 0 {
            return Ok(());
        }
        let epochs = job.schedule.epochs;
        let Some(first) = u32::try_from(next).ok().filter(|first| *first < epochs) else {
            let line = format!(
                "`batch.size` = {size} would begin with epoch {next}, but there are {epochs} epochs, from 0 on: raise \
                 schedule.epochs, or fork at an earlier step"
            );
            return Err(ForkError::Refused(line));
        };
        if let Some((epoch, _)) =
            job.batch.growth.iter().find(|wished| wished.0 <= first && !self.batch.growth.contains(wished))
        {
            let line = format!(
                "`batch.growth` has a batch from epoch {epoch} on, and `batch.size` = {size} begins with epoch {first}: leave \
                 `batch.size` out, or let it grow later"
            );
            return Err(ForkError::Refused(line));
        }
        let before = self.batch.growth.iter().copied().filter(|(epoch, _)| *epoch < first);
        let from_first = (self.batch.size_at(next - 1) != size).then_some((first, size));
        let later = job.batch.growth.iter().copied().filter(|(epoch, _)| *epoch > first);
        job.batch.growth = before.chain(from_first).chain(later).collect();
        job.batch.size = self.batch.size;
        Ok(())
    }

    /// Epochs that have begun have the batch that they had.
    fn check_batches(&self, job: &Self, point: ForkPoint) -> Result<(), ForkError> {
        let next = point.next_epoch();
        let begun = self.batch.sizes().chain(job.batch.sizes()).map(|(first, _)| u64::from(first));
        let differs = |epoch: &u64| job.batch.size_at(*epoch) != self.batch.size_at(*epoch);
        let Some(epoch) = begun.filter(|epoch| *epoch < next).find(differs) else { return Ok(()) };
        let (was, now, last) = (self.batch.size_at(epoch), job.batch.size_at(epoch), next - 1);
        Err(ForkError::Refused(format!(
            "`batch.growth` has a batch of {now} in epoch {epoch}, which has one of {was}: epochs up to {last} have begun \
             before the fork, so let it change the batch from epoch {next} on"
        )))
    }
}

/// Whether a layer has a key.
fn says(layer: &Table, table: &str, key: &str) -> bool {
    layer.get(table).and_then(Value::as_table).is_some_and(|inner| inner.contains_key(key))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const MIDDLE: ForkPoint = ForkPoint { epoch: 2, position: 640 };
    const BETWEEN: ForkPoint = ForkPoint { epoch: 2, position: 0 };

    fn original() -> Job {
        let mut job = Job::default();
        job.data.path = "/data".into();
        job.schedule.epochs = 6;
        job
    }

    fn fork(job: &Job, point: ForkPoint, overrides: &[&str]) -> Result<Job, ForkError> {
        let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
        job.forked(&overrides, point)
    }

    fn batch(original: &Job, point: ForkPoint, overrides: &[&str]) -> (u32, Vec<(u32, u32)>) {
        let batch = fork(original, point, overrides).unwrap().batch;
        (batch.size, batch.growth)
    }

    #[test]
    fn another_batch_begins_with_the_next_epoch() {
        let mut job = original();
        assert_eq!(batch(&job, MIDDLE, &["batch.size=128"]), (64, vec![(3, 128)]));
        assert_eq!(batch(&job, BETWEEN, &["batch={size=128}"]), (64, vec![(2, 128)]));
        let start = ForkPoint { epoch: 0, position: 0 };
        assert_eq!(batch(&job, start, &["batch.size=128"]), (128, vec![]));
        // Of growth, what has begun stays, and what has not gives way.
        job.batch.growth = vec![(1, 96), (5, 256)];
        assert_eq!(batch(&job, MIDDLE, &[]), (64, vec![(1, 96), (5, 256)]));
        assert_eq!(batch(&job, MIDDLE, &["batch.size=128"]), (64, vec![(1, 96), (3, 128)]));
        assert_eq!(batch(&job, MIDDLE, &["batch.size=96"]), (64, vec![(1, 96)]));
        assert_eq!(batch(&job, MIDDLE, &["batch.size=64"]), (64, vec![(1, 96), (3, 64)]));
        let both = ["batch.size=128", "batch.growth=[[4, 512]]"];
        assert_eq!(batch(&job, MIDDLE, &both), (64, vec![(1, 96), (3, 128), (4, 512)]));
        assert_eq!(batch(&job, MIDDLE, &["batch.growth=[[1, 96], [3, 32]]"]), (64, vec![(1, 96), (3, 32)]));
    }

    #[test]
    fn other_settings_are_taken_as_they_are() {
        let job = original();
        let mut wished = job.clone();
        (wished.optimizer.learning_rate, wished.seed.augment) = (0.5, 9);
        (wished.data.threads, wished.model.recompute, wished.batch.micro_batch) = (3, true, 16);
        let overrides = [
            "optimizer.learning_rate=0.5",
            "seed.augment=9",
            "data.threads=3",
            "model.recompute=true",
            "batch.micro_batch=16",
        ];
        assert_eq!(fork(&job, MIDDLE, &overrides).unwrap(), wished);
        assert_eq!(fork(&job, MIDDLE, &[]).unwrap(), job);
    }

    fn check(overrides: &[&str], line: Expect) {
        line.assert_eq(&fork(&original(), MIDDLE, overrides).expect_err("must be refused").to_string());
    }

    #[test]
    fn what_makes_state_or_order_another_is_refused() {
        check(
            &["data.limit=640"],
            expect![
                "`data.limit` = 640 is no setting for a fork, since both runs have the same samples in the same order: leave it at 0, or train anew"
            ],
        );
        check(
            &["seed=2"],
            expect![
                "`seed.init` = 2 is no setting for a fork, since the initial weights lie behind the fork: leave it at 0, or train anew"
            ],
        );
        check(
            &["seed.order=2"],
            expect![
                "`seed.order` = 2 is no setting for a fork, since both runs have the same samples in the same order: leave it at 0, or train anew"
            ],
        );
        check(
            &["model.hidden=[5]"],
            expect![
                "`model.hidden` = [5] is no setting for a fork, since the state is this network's: leave it at [300], or train anew"
            ],
        );
        check(
            &["batch.growth=[[2, 128]]"],
            expect![
                "`batch.growth` has a batch of 128 in epoch 2, which has one of 64: epochs up to 2 have begun before the fork, so let it change the batch from epoch 3 on"
            ],
        );
        check(
            &["batch.size=128", "schedule.epochs=3"],
            expect![
                "`batch.size` = 128 would begin with epoch 3, but there are 3 epochs, from 0 on: raise schedule.epochs, or fork at an earlier step"
            ],
        );
        check(
            &["batch.size=96", "batch.micro_batch=24"],
            expect![
                "with the batches before the fork, `batch.size` = 64 is not divisible by `batch.micro_batch` = 24: set batch.micro_batch to 16 or 32, or batch.size to 48 or 72"
            ],
        );
        check(&["batch.sise=96"], expect!["--set batch.sise=96: unknown key `batch.sise`: did you mean `batch.size`?"]);
    }
}
