//! Evaluations that no run can have.

use super::Violation;
use crate::job::spec::{Evaluate, Job, Measure, ProbeMeasure};

/// Without test samples and with none held out there is nothing to evaluate on: what asks for it is refused.
pub(super) fn evaluate(job: &Job) -> Result<(), Violation> {
    if job.evaluate.test || job.data.validation > 0 {
        return Ok(());
    }
    let (schedule, evaluate) = (&job.schedule, &job.evaluate);
    let usual = [0, Evaluate::default().every_epochs];
    let wants = [
        ("schedule.target_accuracy", schedule.target_accuracy > 0.0),
        ("schedule.target_loss", schedule.target_loss > 0.0),
        ("schedule.patience", schedule.patience > 0),
        ("evaluate.every_steps", evaluate.every_steps > 0),
        ("evaluate.every_epochs", !usual.contains(&evaluate.every_epochs)),
        ("checkpoint.keep_best", job.checkpoint.keep_best != Measure::None),
    ];
    if let Some(probe) = job.probe.iter().find(|probe| probe.measure == ProbeMeasure::Gap) {
        let problem = format!(
            "probe {} needs held-out samples, but `evaluate.test` = false and none are held out: set `data.validation`",
            probe.title()
        );
        return Err(Violation::new(&["probe", "evaluate.test", "data.validation"], problem));
    }
    match wants.into_iter().find(|(_, wants)| *wants) {
        None => Ok(()),
        Some((key, _)) => {
            let problem = format!(
                "`{key}` needs evaluations, but `evaluate.test` = false and no samples are held out: set \
                 `data.validation`, or leave `{key}` out"
            );
            Err(Violation::new(&[key, "evaluate.test", "data.validation"], problem))
        }
    }
}
