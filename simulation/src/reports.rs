//! What compute threads report, and their wishes to stop.

use lockstep_proto::wire::{self, report::Report};
use lockstep_worker::control::StopReason;

/// The report of a step.
pub(crate) fn step(step: u64, epoch: u64) -> wire::Report {
    let report = wire::StepReport { step, epoch, loss: 1.0, ..Default::default() };
    wire::Report { report: Some(Report::Step(report)) }
}

/// The report of an evaluation behind a step.
pub(crate) fn evaluation(step: u64, epoch: u64) -> wire::Report {
    let report = wire::EvaluationReport { step, epoch, split: "test".into(), ..Default::default() };
    wire::Report { report: Some(Report::Evaluation(report)) }
}

/// The flag of a wish.
pub(crate) fn flag(why: StopReason) -> u64 {
    match why {
        StopReason::Cancelled => 1,
        StopReason::Interrupted => 2,
        StopReason::Paused => 4,
        StopReason::Regrouped => 8,
    }
}

/// What reduced flags ask for.
pub(crate) fn stop_reason(flags: u64) -> Option<StopReason> {
    let order = [StopReason::Interrupted, StopReason::Cancelled, StopReason::Paused, StopReason::Regrouped];
    order.into_iter().find(|&why| flags & flag(why) != 0)
}
