//! Evaluation: lanes over a split as it lies, and the same tree.

use std::time::Instant;

use lockstep_collective::Tag;
use lockstep_proto::wire;

use super::TrainerError;
use super::generation::{FIRST_PASS, Generation};
use super::lane::Evaluation;
use super::measures::Score;
use super::progress::Phase;
use crate::data::dataset::Split;

impl Generation<'_> {
    /// After an epoch: the validation split if the job holds one out, else the test split.
    pub(super) fn evaluate_if_due(&mut self) -> Result<(), TrainerError> {
        let every = u64::from(self.trainer.job.evaluate.every_epochs);
        if every == 0 || !self.state.cursor.epoch.is_multiple_of(every) {
            return Ok(());
        }
        let split = if self.trainer.job.data.validation > 0 { Split::Validation } else { Split::Test };
        let score = self.evaluate(split)?;
        if split == Split::Test {
            self.newest_test = Some((self.state.cursor.step, score));
        }
        self.hand_over();
        Ok(())
    }

    /// Loss and accuracy of the committed parameters, or of their average, over `split`; reported, and the same on all ranks.
    pub(super) fn evaluate(&mut self, split: Split) -> Result<Score, TrainerError> {
        let step = self.state.cursor.step;
        self.trainer.seat.progress.enter(Phase::Evaluate, step);
        let started = Instant::now();
        let work = &self.trainer.work;
        let lanes = work.dataset.len(split).div_ceil(work.micro_batch) as u32;
        let abort = self.signals.abort_flag();
        let evaluation = Evaluation { work, weights: self.state.averaged_weights(), split, abort };
        let hands = self.group.tally_hands(lanes)?;
        self.trainer.crew.run(hands, |runner, hand| {
            for subtree in hand.subtrees {
                *subtree.tally = runner.evaluate_subtree(&evaluation, subtree.lanes);
            }
        });
        self.check_aborted()?;
        let score = Score::of(self.group.reduce_tally(lanes, Tag { step, pass: FIRST_PASS })?);
        self.trainer.meter.spent_apart(started.elapsed());
        self.outbox.report(wire::report::Report::Evaluation(wire::EvaluationReport {
            step,
            epoch: self.state.cursor.epoch,
            split: split.name().into(),
            loss: score.loss,
            accuracy: score.accuracy,
            samples: score.samples,
        }));
        Ok(score)
    }
}
