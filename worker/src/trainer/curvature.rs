//! Second derivatives of the loss, measured before each epoch for `diagonal_lm`: the mean over the epoch's first
//! samples of the diagonal of the Gauss–Newton matrix (LeCun et al. 1998, appendix C).
//!
//! They ride in the same tree over lanes as gradients. They enter the state with the epoch's first step, not before:
//! the state after a step is the same whether or not a worker has begun the next.

use lockstep_collective::Tag;
use lockstep_kernels::device::Device;
use lockstep_proto::job::OptimizerName;

use super::generation::Generation;
use super::lane::{Pass, Source, TrainStep};
use super::measures;
use super::progress::Phase;
use super::schedule::StepPlan;
use super::skipped;
use super::{Trainer, TrainerError};
use lockstep_dataset::dataset::Split;
use lockstep_dataset::order::Order;

/// The pass of a step that reduces second derivatives.
pub(super) const CURVATURE_PASS: u32 = 1;

impl<D: Device> Trainer<D> {
    /// Samples that second derivatives are measured over; none without a use for them.
    pub(super) fn curvature_samples(&self) -> u64 {
        let keys = &self.job.optimizer;
        match keys.name {
            OptimizerName::DiagonalLm => u64::from(keys.curvature_samples).min(self.work.dataset.len(Split::Train)),
            _ => 0,
        }
    }

    /// Their lanes.
    pub(super) fn curvature_lanes(&self) -> u32 {
        self.curvature_samples().div_ceil(self.work.micro_batch) as u32
    }
}

impl<D: Device> Generation<'_, D> {
    /// Measures second derivatives if `plan` is the first step of an epoch; tells whether it did.
    pub(super) fn measure_curvature_if_due(&mut self, plan: &StepPlan) -> Result<bool, TrainerError> {
        let (samples, lanes) = (self.trainer.curvature_samples(), self.trainer.curvature_lanes());
        if samples == 0 || plan.first > 0 {
            return Ok(false);
        }
        let step = self.state.cursor.step;
        self.trainer.seat.progress.enter(Phase::Curvature, step);
        let order = Order::of(&self.trainer.job, plan.epoch, self.trainer.work.dataset.len(Split::Train));
        let pass = TrainStep {
            work: &self.trainer.work,
            weights: self.state.weights(),
            plan: StepPlan { samples, lanes, ..*plan },
            source: Source::Epoch(&order),
            pass: Pass::Curvature,
            direction: None,
            flags: 0,
            noise: None,
            pulse: self.signals.pulse(&self.trainer.seat.progress),
            replayed: None,
            #[cfg(feature = "fault-points")]
            spoilt: false,
            #[cfg(feature = "fault-points")]
            times: 1,
        };
        self.reduction.compute(&mut self.trainer.crew, &pass, lanes)?;
        self.check_aborted()?;
        let tag = Tag { step, pass: CURVATURE_PASS };
        let reduced = self.reduction.reduce(&mut self.trainer.crew, lanes, tag)?;
        if reduced.tally.counts[measures::SAMPLES] == 0 {
            return Err(skipped::nothing_left("second derivatives are measured over"));
        }

        let Trainer { curvature, crew, work, .. } = &mut *self.trainer;
        let (device, len) = (&mut crew.first().device, work.model.parameters());
        let mean = curvature.get_or_insert_with(|| device.zeros(len));
        device.copy(D::slice(reduced.gradient, 0..len), D::view_mut(mean, 0..len));
        let count = reduced.tally.counts[measures::SAMPLES];
        device.scale((1.0 / count as f64) as f32, D::view_mut(mean, 0..len));
        Ok(true)
    }
}
