//! A step whose loss or gradients are not finite: nothing of it is committed, and all ranks end their generation alike,
//! since the reduced tally is the same on all. Rank 0 says where it began.

use lockstep_collective::Tally;
use lockstep_kernels::device::Device;
use lockstep_proto::job::OnNonfinite;
use lockstep_proto::wire;

use super::ending::End;
use super::generation::Generation;
use super::lane::TrainStep;
use super::measures::Nonfinite;
use super::progress::Phase;
use super::schedule::StepPlan;
use super::second_pass::{Place, weights_at};
use super::{Trainer, TrainerError};
use lockstep_dataset::{Order, Split};

/// As on the wire.
const STOP_REASON: &str = "nonfinite";

impl<D: Device> Trainer<D> {
    /// Whether the job ends with a reduced tally like this.
    pub(super) fn refuses(&self, tally: &Tally) -> bool {
        self.job.schedule.on_nonfinite == OnNonfinite::Stop && Nonfinite::of(tally).is_some()
    }
}

impl<D: Device> Generation<'_, D> {
    /// The job fails with the state of the last good step. Rank 0's checkpoints are on disk then, unless the disk is
    /// full.
    pub(super) fn fail_nonfinite(&mut self, plan: StepPlan, place: Place) -> Result<End, TrainerError> {
        let mut reason = String::new();
        if self.speaks() {
            reason = self.describe_nonfinite(plan, place)?;
            self.hand_over();
            // Those of earlier steps are what is left of the job.
            self.await_checkpoints(|checkpoints| checkpoints.is_full());
        }
        let outcome = wire::Outcome { reason, ..self.outcome(STOP_REASON) };
        Ok(End { outcome, weights: None })
    }

    /// Step, lane and layer. A lane is a pure function of step and weights: all of them can be computed here, one after
    /// the other up to the first that is to blame.
    fn describe_nonfinite(&mut self, plan: StepPlan, place: Place) -> Result<String, TrainerError> {
        let committed = self.state.cursor.step;
        let step = committed + 1;
        let order = Order::of(&self.trainer.job, plan.epoch, self.trainer.work.dataset.len(Split::Train));
        let weights = weights_at(place, &self.state, self.trainer.above.as_ref());
        let pulse = self.signals.pulse(&self.trainer.seat.progress);
        let again = TrainStep::new(&self.trainer.work, weights, plan, &order, pulse);
        let runner = self.trainer.crew.first();
        let len = again.work.model.len();
        let mut gradient = runner.device.zeros(len);
        let mut found = None;
        for lane in 0..plan.lanes {
            // A sign of life for each lane.
            self.trainer.seat.progress.enter(Phase::Replay, committed);
            found = runner.find_nonfinite(&again, lane, &mut D::view_mut(&mut gradient, 0..len));
            if let Some(what) = &found {
                found = Some(format!("in lane {lane} {what}"));
                break;
            }
        }
        self.check_aborted()?;
        let what = found.unwrap_or_else(|| "every lane is finite, their sum is not".to_owned());
        let above = match place {
            Place::Weights => "",
            Place::Above if self.trainer.job.optimizer.sam > 0.0 => " above the weights (optimizer.sam)",
            Place::Above => " above the weights (optimizer.gradient_penalty)",
        };
        Ok(format!(
            "step {step} is not finite{above}: {what}; it was not committed, checkpoints of earlier steps stay \
             (schedule.on_nonfinite)"
        ))
    }
}
