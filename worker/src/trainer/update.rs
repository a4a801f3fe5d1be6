//! A step's last part: from what all lanes have summed up to, to the committed state. No bit of the state changes before.

use lockstep_kernels::device::Device;
use lockstep_proto::ledger::LedgerRow;

use super::by_products::LaneNorm;
use super::measures::{self, Score};
use super::progress::Phase;
use super::reduction::Reduced;
use super::schedule::StepPlan;
use super::second_pass::Place;
use super::state::{Advance, State};
use super::stops::Evaluations;
use super::{Trainer, TrainerError, optimizer};

/// A step that is about to be committed, and what is known of it beside the reduction.
pub(super) struct Update {
    pub(super) plan: StepPlan,
    /// Where its gradients were taken.
    pub(super) place: Place,
    /// Whether second derivatives were measured, which enter with it.
    pub(super) measured_curvature: bool,
    /// What evaluations before it came to.
    pub(super) evaluations: Evaluations,
    /// The generation that it is of.
    pub(super) generation: u64,
    /// Seconds of training with it.
    pub(super) seconds: f64,
    /// Samples that were left out of it.
    pub(super) skipped: Vec<u64>,
}

/// What a committed step tells the loop.
pub(super) struct Committed {
    pub(super) epoch: u64,
    pub(super) flags: u64,
    pub(super) score: Score,
    pub(super) learning_rate: f64,
    pub(super) lanes: LaneNorm,
}

impl Update {
    /// Blends the passes, measures the by-products, and has the optimiser update the state.
    ///
    /// # Errors
    /// If the step does not follow those in the ledger.
    pub(super) fn commit<'r, D: Device>(
        self,
        trainer: &'r mut Trainer<D>,
        state: &mut State<D>,
        reduced: Reduced<'r, D>,
    ) -> Result<Committed, TrainerError> {
        let (cursor, plan) = (state.cursor, &self.plan);
        trainer.seat.progress.enter(Phase::Commit, cursor.step);
        let Trainer { crew, optimizer, by_products, injected, curvature, above, schedule, work, .. } = trainer;
        let (mut tally, mut sums) = (reduced.tally, state.sums(reduced.gradient));
        match (self.place, above) {
            (Place::Above, Some(above)) => (tally, sums) = above.blend(crew, sums),
            _ => by_products.measure(crew, sums.gradient),
        }
        let noise = by_products.of_step(tally);
        if let Some(injected) = injected {
            sums.gradient = injected.add(crew, (tally.counts[measures::SAMPLES], cursor.step), sums.gradient);
        }
        let (score, flags) = (Score::of(tally), tally.flags);
        let learning_rate = schedule.learning_rate(&cursor);
        let lanes = LaneNorm::of(noise.as_ref(), learning_rate);
        let constants = optimizer::Step { learning_rate, count: score.samples, steps: cursor.step };
        let behind = schedule.advance(&cursor, plan);
        let parameters = 0..work.model.parameters();
        let curvature = curvature.as_ref().filter(|_| self.measured_curvature);
        let advance = Advance {
            cursor: behind,
            epoch_loss: state.epoch_loss.with(&score, behind.epoch > plan.epoch),
            evaluations: self.evaluations,
            noise,
            noise_kind: by_products.kind_of(plan.epoch),
            seconds: self.seconds,
            row: self.row(cursor.step, &tally.counts),
            curvature: curvature.map(|curvature| D::view(curvature, parameters)),
        };
        state.commit(crew, optimizer, &constants, sums, advance)?;
        Ok(Committed { epoch: plan.epoch, flags, score, learning_rate, lanes })
    }

    /// The step in the ledger, with what the reduction counted.
    fn row(&self, step: u64, counts: &[u64]) -> LedgerRow {
        let plan = &self.plan;
        LedgerRow {
            epoch: plan.epoch,
            from: plan.first,
            to: plan.first + plan.samples,
            first_step: step,
            steps: 1,
            generation: self.generation,
            samples: counts[measures::SAMPLES],
            hashes: counts[measures::SAMPLE_HASHES],
            skipped: self.skipped.clone(),
        }
    }
}
