//! How a generation ends: what is told, and what has to be on disk first.

use std::sync::Arc;
use std::time::Duration;

use lockstep_kernels::device::Device;
use lockstep_proto::wire;
use sha2::{Digest, Sha256};

use super::TrainerError;
use super::checkpoints::Checkpoints;
use super::generation::Generation;
use super::measures::Score;
use super::progress::Phase;
use super::stops::Completion;
use crate::control::{StopReason, Weights};
use lockstep_dataset::dataset::Split;

/// How a generation ended, on all ranks alike.
pub(super) struct End {
    pub(super) outcome: wire::Outcome,
    pub(super) weights: Option<Weights>,
}

impl<D: Device> Generation<'_, D> {
    /// The job is done: the test error if it is wanted, and the weights as a file. Rank 0's checkpoints are on disk then, unless the
    /// disk is full.
    pub(super) fn complete(&mut self, why: Completion) -> Result<End, TrainerError> {
        let mut outcome = self.outcome(why.name());
        if let Some(test) = self.test_if_wanted()? {
            outcome.test_loss = Some(test.loss);
            outcome.test_error = Some(test.error());
            outcome.test_top5_error = Some(test.top5_error());
        }
        let device = &mut self.trainer.crew.first().device;
        let file = self.state.to_safetensors(device, self.trainer.work.model.tensors());
        let file = file.map_err(|error| TrainerError::Machine(format!("cannot write the weights: {error}")))?;
        device.health()?;
        outcome.weights_sha256 = sha256_hex(&file);
        self.hand_over();
        if self.speaks() {
            self.await_checkpoints(|checkpoints| checkpoints.is_full());
        }
        outcome.seconds = self.trainer.meter.total_seconds();
        Ok(End { outcome, weights: self.speaks().then(|| Weights(Arc::new(file))) })
    }

    /// The test split's score behind the newest step, which the last evaluation may have been on.
    fn test_if_wanted(&mut self) -> Result<Option<Score>, TrainerError> {
        match self.newest_test {
            _ if !self.trainer.job.evaluate.test => Ok(None),
            Some((step, score)) if step == self.state.cursor.step => Ok(Some(score)),
            _ => self.evaluate(Split::Test).map(Some),
        }
    }

    /// A stop that was wanted. What is to be gone on with is on disk first.
    pub(super) fn stop(&mut self, why: StopReason) -> End {
        let saved = matches!(why, StopReason::Interrupted | StopReason::Paused);
        if saved && self.speaks() {
            self.hand_over();
            self.write_checkpoint();
            self.await_checkpoints(|_| false);
        }
        End { outcome: self.outcome(why.name()), weights: None }
    }

    pub(super) fn outcome(&self, stop_reason: &str) -> wire::Outcome {
        let cursor = self.state.cursor;
        wire::Outcome {
            stop_reason: stop_reason.into(),
            steps: cursor.step,
            epochs: cursor.epoch,
            samples: cursor.samples,
            seconds: self.trainer.meter.total_seconds(),
            train_loss: self.state.epoch_loss.mean(),
            ..Default::default()
        }
    }

    /// Waits until all checkpoints are on disk, the generation is aborted, or `give_up` says so.
    pub(super) fn await_checkpoints(&mut self, give_up: impl Fn(&Checkpoints) -> bool) {
        const LOOK: Duration = Duration::from_millis(50);
        self.trainer.seat.progress.enter(Phase::Checkpoint, self.state.cursor.step);
        while !self.trainer.checkpoints.wait(LOOK) && !self.is_aborted() && !give_up(&self.trainer.checkpoints) {
            // A full disk may need some to be deleted first.
            self.obey_tasks();
        }
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
