//! Evaluation: lanes over a split as it lies, and the same tree.

use std::time::Instant;

use lockstep_collective::Tag;
use lockstep_proto::wire;

use super::measures::Score;
use super::signals::Phase;
use super::{Trainer, TrainerError};
use crate::data::dataset::Split;

impl Trainer {
    /// After an epoch: the validation split if the job holds one out, else the test split.
    pub(super) fn evaluate_if_due(&mut self) -> Result<(), TrainerError> {
        let every = u64::from(self.job.evaluate.every_epochs);
        if every == 0 || !self.state.cursor.epoch.is_multiple_of(every) {
            return Ok(());
        }
        let split = if self.job.data.validation > 0 { Split::Validation } else { Split::Test };
        let score = self.evaluate(split)?;
        if split == Split::Test {
            self.newest_test = Some((self.state.cursor.step, score));
        }
        Ok(())
    }

    /// Loss and accuracy of the committed parameters over `split`; reported, and the same on all ranks.
    pub(super) fn evaluate(&mut self, split: Split) -> Result<Score, TrainerError> {
        self.signals.enter(Phase::Evaluate);
        let started = Instant::now();
        let lanes = self.work.dataset.len(split).div_ceil(self.work.micro_batch) as u32;
        let (work, parameters) = (&self.work, self.state.parameters());
        let evaluation = self.group.tally_hands(lanes)?;
        self.crew.run(evaluation, |runner, hand| {
            for subtree in hand.subtrees {
                *subtree.tally = runner.evaluate_subtree(work, parameters, split, subtree.lanes);
            }
        });
        let tag = Tag { step: self.state.cursor.step, pass: super::FIRST_PASS };
        let score = Score::of(self.group.reduce_tally(lanes, tag)?);
        self.meter.evaluated(started.elapsed());
        if self.speaks {
            self.report(wire::report::Report::Evaluation(wire::EvaluationReport {
                step: self.state.cursor.step,
                epoch: self.state.cursor.epoch,
                split: split.name().into(),
                loss: score.loss,
                accuracy: score.accuracy,
                samples: score.samples,
            }));
        }
        Ok(score)
    }
}
