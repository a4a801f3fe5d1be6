//! Evaluation: lanes over a split as it lies, and the same tree.

use std::time::Instant;

use lockstep_collective::Tag;
use lockstep_kernels::device::Device;
use lockstep_proto::wire;

use super::TrainerError;
use super::generation::{FIRST_PASS, Generation};
use super::lane::Evaluation;
use super::measures::{self, Score};
use super::progress::Phase;
use super::skipped;
use super::stops::{self, Completion};
use lockstep_dataset::dataset::Split;

/// Samples that were left out, as far as a report names them.
const NAMED: usize = 100;

impl<D: Device> Generation<'_, D> {
    /// Whether there is an evaluation behind the newest step, of whatever split: a function of the state.
    fn evaluates_here(&self) -> bool {
        let (job, cursor) = (&self.trainer.job, self.state.cursor);
        let every = |count: u64, every: u64| every > 0 && count.is_multiple_of(every);
        let epoch_ends = cursor.position == 0 && every(cursor.epoch, job.evaluate.every_epochs.into());
        let last = self.is_done() && stops::watches(&job.schedule);
        cursor.step > 0 && (epoch_ends || every(cursor.step, job.evaluate.every_steps) || last)
    }

    /// What evaluations during training are on: the validation split if the job holds one out, else the test split,
    /// unless that is not to be looked at.
    fn split(&self) -> Option<Split> {
        let job = &self.trainer.job;
        let test = job.evaluate.test.then_some(Split::Test);
        if job.data.validation > 0 { Some(Split::Validation) } else { test }
    }

    /// The evaluation behind the newest step, if there is one. Gives whether the job is done with it.
    pub(super) fn evaluate_if_due(&mut self) -> Result<Option<Completion>, TrainerError> {
        let Some(split) = self.split().filter(|_| self.evaluates_here()) else {
            self.outbox.is_whole_to(self.state.cursor.step);
            return Ok(None);
        };
        let score = self.evaluate(split)?;
        if split == Split::Test {
            self.newest_test = Some((self.state.cursor.step, score));
        }
        self.outbox.is_whole_to(self.state.cursor.step);
        self.hand_over();
        let keys = &self.trainer.job.schedule;
        if !stops::watches(keys) {
            // Nothing of it may enter the state: a generation that starts here does not evaluate anew.
            return Ok(None);
        }
        let evaluations = self.state.evaluations.with(&score);
        let verdict = stops::verdict(keys, &evaluations, &score);
        self.evaluated = Some(evaluations);
        // Behind the last step a plateau stops nothing.
        Ok(verdict.filter(|why| *why == Completion::Target || !self.is_done()))
    }

    /// Loss and accuracy of the committed parameters, or of their average, over `split`; reported, and the same on all ranks.
    pub(super) fn evaluate(&mut self, split: Split) -> Result<Score, TrainerError> {
        let step = self.state.cursor.step;
        self.trainer.seat.progress.enter(Phase::Evaluate, step);
        let started = Instant::now();
        let work = &self.trainer.work;
        let samples = work.dataset.len(split);
        let lanes = samples.div_ceil(work.micro_batch) as u32;
        if let Some(foresight) = &self.foresight {
            foresight.expect_evaluation(split, samples, work);
        }
        let pulse = self.signals.pulse(&self.trainer.seat.progress);
        let weights = self.state.averaged_weights();
        let evaluation = Evaluation { work, weights, split, positions: 0..samples, pulse };
        let hands = self.reduction.group.tally_hands(lanes)?;
        // Of an evaluation that was broken off.
        self.trainer.crew.forget_unread();
        self.trainer.crew.run(hands, |runner, hand| runner.evaluate_hand(&evaluation, hand));
        self.check_aborted()?;
        self.trainer.crew.check_read()?;
        self.trainer.crew.first().device.health()?;
        let group = &mut self.reduction.group;
        let tally = group.reduce_tally(lanes, Tag { step, pass: FIRST_PASS })?;
        let (score, left_out) = (Score::of(tally), tally.counts[measures::SKIPPED]);
        let mut skipped = self.trainer.crew.take_skipped();
        if left_out > 0 {
            skipped = skipped::of_all(group, step, &skipped)?;
            skipped::check_evaluation(work, split, &skipped)?;
        }
        self.trainer.meter.spent_apart(started.elapsed());
        self.outbox.report(wire::report::Report::Evaluation(wire::EvaluationReport {
            step,
            epoch: self.state.cursor.epoch,
            split: split.name().into(),
            loss: score.loss,
            accuracy: score.accuracy,
            samples: score.samples,
            top5_accuracy: score.top5_accuracy(),
            skipped: skipped.into_iter().take(NAMED).collect(),
        }));
        Ok(score)
    }
}
