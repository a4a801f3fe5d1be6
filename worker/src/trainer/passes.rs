//! A step's passes over its lanes: one, or two where a second pass is over the batch.

use std::time::{Duration, Instant};

use lockstep_collective::Tag;
use lockstep_kernels::device::Device;

use super::generation::Generation;
use super::lane::TrainStep;
use super::lane_noise::LaneNoise;
use super::progress::Phase;
use super::reduction::{Reduced, Reduction};
use super::replay::Replay;
use super::schedule::StepPlan;
use super::second_pass::{Place, weights_at};
use super::{Trainer, TrainerError};
use lockstep_dataset::dataset::Split;
use lockstep_dataset::order::Order;

/// A step under way: what its passes have in common.
pub(super) struct Batch {
    pub(super) plan: StepPlan,
    /// Steps committed before.
    pub(super) step: u64,
    pub(super) order: Order,
    flags: u64,
    noise: Option<LaneNoise>,
    replay: Option<Replay>,
    /// Time of its reductions so far.
    pub(super) reducing: Duration,
}

impl<D: Device> Generation<'_, D> {
    /// A step before its first pass.
    pub(super) fn batch(&self, plan: StepPlan) -> Batch {
        let samples = self.trainer.work.dataset.len(Split::Train);
        Batch {
            plan,
            step: self.state.cursor.step,
            order: Order::of(&self.trainer.job, plan.epoch, samples),
            flags: self.flags(),
            noise: LaneNoise::of(&self.trainer.job, &plan, self.state.cursor.step),
            replay: self.replay(&plan),
            reducing: Duration::ZERO,
        }
    }

    /// Data, forward and backward of this worker's lanes, at the parameters of `place`.
    pub(super) fn compute_lanes(&mut self, batch: &mut Batch, place: Place) -> Result<(), TrainerError> {
        let progress = self.trainer.seat.progress.clone();
        progress.enter(Phase::Lanes, batch.step);
        let began = Instant::now();
        let weights = weights_at(place, &self.state, self.trainer.above.as_ref());
        let pulse = self.signals.pulse(&self.trainer.seat.progress);
        let step = TrainStep {
            flags: batch.flags,
            noise: batch.noise.as_ref(),
            replayed: batch.replay.as_ref().map(|replay| replay.lane),
            #[cfg(feature = "fault-points")]
            spoilt: self.trainer.seat.fault.as_ref().is_some_and(|fault| fault.spoils(self.rank, batch.step)),
            #[cfg(feature = "fault-points")]
            times: self.trainer.seat.fault.as_ref().map_or(1, super::Fault::times),
            ..TrainStep::new(&self.trainer.work, weights, batch.plan, &batch.order, pulse)
        };
        let held = self.reduction.compute(&mut self.trainer.crew, &step, batch.plan.lanes)?;
        progress.lanes(held, began.elapsed());
        if let Some(replay) = &mut batch.replay {
            replay.carry_out(&mut self.trainer.crew, &step, &self.trainer.seat);
        }
        self.check_aborted()
    }

    /// Tells the digest of the step's replayed lane, behind the last pass.
    pub(super) fn tell_replay(&self, batch: &mut Batch) {
        if let Some(replay) = batch.replay.take() {
            replay.tell(&self.trainer.seat, &self.id);
        }
    }
}

impl Batch {
    /// Adds up what all lanes have come to in the pass at `place`.
    pub(super) fn reduce<'a, D: Device>(
        &mut self,
        place: Place,
        reduction: &'a mut Reduction<D>,
        trainer: &mut Trainer<D>,
    ) -> Result<Reduced<'a, D>, TrainerError> {
        trainer.seat.progress.enter(Phase::Reduce, self.step);
        let began = Instant::now();
        let tag = Tag { step: self.step, pass: place.pass() };
        let reduced = reduction.reduce(&mut trainer.crew, self.plan.lanes, tag)?;
        self.reducing += began.elapsed();
        Ok(reduced)
    }
}
