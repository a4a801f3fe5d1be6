//! One generation: the loop that a sample's path goes through, in reading order.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use lockstep_kernels::device::Device;
use lockstep_proto::wire;

use super::ending::End;
use super::foresight::Foresight;
use super::measures::{self, Score};
use super::outbox::Outbox;
use super::progress::Phase;
use super::reduction::Reduction;
use super::schedule::StepPlan;
use super::second_pass::Place;
use super::signals::Signals;
use super::state::State;
use super::stops::{self, Completion, Evaluations};
use super::update::{Committed, Update};
use super::{Task, Trainer, TrainerError, skipped};
use crate::control::{StopReason, TrainerEvent};

/// Passes of a step that reduce: gradients at the weights are the first; evaluations have a count of their own. Second
/// derivatives have [`super::curvature::CURVATURE_PASS`], gradients above the weights a second pass
/// ([`Place::pass`]).
pub(super) const FIRST_PASS: u32 = 0;

/// A generation that the trainer is in, with the state.
pub(super) struct Generation<'a, D: Device> {
    pub(super) trainer: &'a mut Trainer<D>,
    pub(super) state: State<D>,
    pub(super) reduction: Reduction<D>,
    /// None where samples live in memory.
    pub(super) foresight: Option<Arc<Foresight>>,
    pub(super) signals: Arc<Signals>,
    pub(super) number: u64,
    pub(super) id: wire::GenerationId,
    pub(super) rank: u32,
    /// Lanes of a full batch, by rank.
    pub(super) shares: Vec<u32>,
    /// The newest evaluation on the test split, and its step; of this generation, so that all members have it.
    pub(super) newest_test: Option<(u64, Score)>,
    /// What evaluations came to with the one behind the newest step; enters the state with the next.
    pub(super) evaluated: Option<Evaluations>,
    /// Seconds of training before this generation.
    pub(super) seconds_before: f64,
    pub(super) outbox: Outbox,
}

impl<D: Device> Generation<'_, D> {
    /// Trains until all steps are done or a stop is wanted.
    pub(super) fn run(&mut self) -> Result<End, TrainerError> {
        self.trainer.meter.begin();
        self.trainer.crew.forget_unread();
        if let (Some(foresight), Some(loader)) = (&self.foresight, &self.trainer.work.loader) {
            loader.train(Box::new(foresight.training(self.state.cursor)));
        }
        let ended = self.train();
        self.trainer.meter.end();
        self.hand_over();
        if ended.is_ok() {
            self.reduction.leave();
        }
        ended
    }

    /// Gives the state back.
    pub(super) fn leave(self) -> State<D> {
        self.state
    }

    fn train(&mut self) -> Result<End, TrainerError> {
        let (mut done, mut broken_off) = self.make_up_measurements()?;
        done = self.train_loss_verdict().or(done);
        loop {
            if let Some(why) = broken_off {
                return Ok(self.stop(why));
            }
            self.obey_tasks();
            if let Some(why) = done {
                return self.complete(why);
            }
            let Some(plan) = self.trainer.schedule.step(&self.state.cursor) else {
                return self.complete(Completion::AllSteps);
            };
            // Here, where all that belongs to the step before has been put in.
            if self.outbox.is_due() {
                self.hand_over();
            }
            let committed = match self.step(plan)? {
                Ok(committed) => committed,
                Err(place) => return self.fail_nonfinite(plan, place),
            };
            self.report_step(&committed);
            self.compare_digests_if_due()?;
            let epoch_ends = self.state.cursor.epoch > plan.epoch;
            let over = (committed.flags & measures::TIME_IS_OVER != 0).then_some(Completion::Time);
            // First, since an evaluation may take long and leaves the state as it is.
            self.write_checkpoint_if_due(epoch_ends);
            (done, broken_off) = self.measure_if_due()?;
            done = self.train_loss_verdict().or(done).or(over);
            match measures::stop_reason(committed.flags) {
                // Others would find nothing left to do.
                Some(StopReason::Regrouped) if done.is_some() || self.is_done() => {}
                Some(why) => return Ok(self.stop(why)),
                None => {}
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.trainer.schedule.step(&self.state.cursor).is_none()
    }

    /// The evaluation and probes where the generation starts, if a loss or a stop broke them off or their reports were
    /// lost with a worker; the evaluation also if the job may be done with it. All members decide this alike.
    fn make_up_measurements(&mut self) -> Result<(Option<Completion>, Option<StopReason>), TrainerError> {
        let unreported = self.state.cursor.step > self.outbox.reported();
        let watches = stops::watches(&self.trainer.job.schedule);
        if unreported || watches { self.measure_if_due() } else { Ok((None, None)) }
    }

    /// What is measured behind the newest step: an evaluation, probes. Gives whether the job is done with it, and why to
    /// stop, if a stop has broken a probe off.
    fn measure_if_due(&mut self) -> Result<(Option<Completion>, Option<StopReason>), TrainerError> {
        let done = self.evaluate_if_due()?;
        let broken_off = self.probe_if_due()?;
        if broken_off.is_none() {
            self.outbox.is_whole_to(self.state.cursor.step);
            if self.outbox.has_reports_behind_step() {
                self.hand_over();
            }
        }
        Ok((done, broken_off))
    }

    fn train_loss_verdict(&self) -> Option<Completion> {
        let State { cursor, epoch_loss, .. } = &self.state;
        stops::train_loss_verdict(&self.trainer.job.schedule, cursor, epoch_loss)
    }

    /// Bits for the reduction: what control wants, and whether time is over.
    pub(super) fn flags(&self) -> u64 {
        let seconds = self.seconds_before + self.trainer.meter.generation_seconds();
        let over = stops::time_is_over(&self.trainer.job.schedule, seconds);
        self.signals.stop_flags() | if over { measures::TIME_IS_OVER } else { 0 }
    }

    /// One step: data, forward and backward of this worker's lanes; the reduction; the update. If its loss or gradients
    /// are not finite and the job does not go on with such, nothing is committed: gives in which pass then.
    fn step(&mut self, plan: StepPlan) -> Result<Result<Committed, Place>, TrainerError> {
        let cursor = self.state.cursor;
        if let Some(foresight) = &self.foresight {
            foresight.expect_training(cursor, &self.trainer.work.dataset);
        }
        let measured_curvature = self.measure_curvature_if_due(&plan)?;
        let mut batch = self.batch(plan);
        let Some(place) = self.step_up_if_wanted(&mut batch)? else { return Ok(Err(Place::Weights)) };
        self.compute_lanes(&mut batch, place)?;
        self.tell_replay(&mut batch);
        let reduced = batch.reduce(place, &mut self.reduction, self.trainer)?;
        let skipped = skipped::of_step(&self.trainer.work, &batch, &self.state.ledger, reduced.tally)?;
        if self.trainer.refuses(reduced.tally) {
            return Ok(Err(place));
        }

        let committing = Instant::now();
        let update = Update {
            plan,
            place,
            measured_curvature,
            evaluations: self.evaluated.take().unwrap_or(self.state.evaluations),
            generation: self.number,
            seconds: self.seconds_before + self.trainer.meter.generation_seconds(),
            skipped: skipped.clone(),
        };
        let committed = update.commit(self.trainer, &mut self.state, reduced)?;
        self.outbox.committed(&self.state.ledger);
        if self.rank == 0 {
            skipped::tell(&self.trainer.work, &plan, cursor.step + 1, &skipped);
        }
        self.trainer.meter.step(&committed.score, batch.reducing, committing.elapsed());
        Ok(Ok(committed))
    }

    /// Every `metrics.every` steps, and at the last.
    fn report_step(&mut self, committed: &Committed) {
        let cursor = self.state.cursor;
        if !cursor.step.is_multiple_of(self.trainer.job.metrics.every) && !self.is_done() {
            return;
        }
        let lanes = self.trainer.crew.first().take_seconds();
        let (samples_per_second, seconds) = self.trainer.meter.take(lanes);
        self.outbox.report(wire::report::Report::Step(wire::StepReport {
            step: cursor.step,
            epoch: committed.epoch,
            loss: committed.score.loss,
            accuracy: committed.score.accuracy,
            learning_rate: committed.learning_rate,
            samples_per_second,
            seconds: Some(seconds),
            samples: cursor.samples,
            noise: Some(self.trainer.by_products.report(&self.state.noise, committed.lanes)),
        }));
    }

    /// Hands what was committed to control.
    pub(super) fn hand_over(&mut self) {
        if let Some(batch) = self.outbox.take(&self.state.ledger) {
            self.trainer.seat.tell(TrainerEvent::Committed(Box::new(batch)));
        }
    }

    /// Rank 0 speaks for all: their numbers are the same bits.
    pub(super) fn speaks(&self) -> bool {
        self.rank == 0
    }

    /// Once the abort flag is set, lanes are left out: nothing may be reduced.
    pub(super) fn check_aborted(&self) -> Result<(), TrainerError> {
        if self.is_aborted() { Err(lockstep_collective::Error::Aborted.into()) } else { Ok(()) }
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.signals.abort_flag().load(Ordering::Relaxed)
    }

    /// Tasks that came meanwhile; a generation's end is not among them.
    pub(super) fn obey_tasks(&mut self) {
        while let Ok(task) = self.trainer.tasks.try_recv() {
            match task {
                Task::WriteCheckpoint => self.write_checkpoint(),
                Task::DeleteCheckpoints(names) => self.trainer.checkpoints.remove(&names),
                // Control sends none of these while the trainer is in a generation.
                Task::Prepare(_) | Task::Enter(..) => {}
            }
        }
    }

    fn compare_digests_if_due(&mut self) -> Result<(), TrainerError> {
        let (every, step) = (self.trainer.job.cluster.digest_every, self.state.cursor.step);
        if every == 0 || !step.is_multiple_of(every) || self.shares.len() == 1 {
            return Ok(());
        }
        self.trainer.seat.progress.enter(Phase::Digest, step);
        let device = &mut self.trainer.crew.first().device;
        let digests = self.state.digests(device, self.trainer.work.model.tensors())?;
        self.trainer.seat.tell(TrainerEvent::StateDigest(Box::new(wire::StateDigest {
            generation: Some(self.id.clone()),
            step,
            names: digests.names,
            digests: digests.tensors,
        })));
        Ok(())
    }

    fn write_checkpoint_if_due(&mut self, epoch_ends: bool) {
        let cursor = self.state.cursor;
        if self.speaks() && self.trainer.checkpoints.is_due(&self.trainer.job.checkpoint, &cursor, epoch_ends) {
            self.trainer.seat.progress.enter(Phase::Checkpoint, cursor.step);
            let device = &mut self.trainer.crew.first().device;
            self.trainer.checkpoints.write(&self.state, device, self.trainer.work.model.tensors());
        }
    }

    /// One that is written whatever comes after it.
    pub(super) fn write_checkpoint(&mut self) {
        let device = &mut self.trainer.crew.first().device;
        self.trainer.checkpoints.write_wanted(&self.state, device, self.trainer.work.model.tensors());
    }
}
