//! What came out of a job, in a few lines.

use lockstep_proto::wire;

use super::table::{columns, counted, duration, grouped, percent, print};
use super::{ClientError, noise};

/// Classes from which on it says something that the right class is among the five best answers.
const CLASSES_FOR_TOP5: u32 = 11;

/// Whether people are shown the top-5 error of a job.
pub fn shows_top5(job: &wire::JobView) -> bool {
    job.classes >= CLASSES_FOR_TOP5
}

/// Prints a short table of a job that has ended.
pub fn print_summary(job: &wire::JobView) -> Result<(), ClientError> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = Vec::new();
    let early = job.outcome.as_ref().is_some_and(|outcome| outcome.stop_reason != "completed");
    if job.state != "completed" || early {
        rows.push(row(&job.state, job.reason.clone()));
    }
    if let Some(outcome) = &job.outcome {
        if let Some(error) = outcome.test_error {
            let beside = job.published.as_ref().map_or(String::new(), |published| {
                format!("  (published: {}, {})", percent(published.test_error), published.source)
            });
            rows.push(row("test error", format!("{}{beside}", percent(error))));
        }
        if let Some(error) = outcome.test_top5_error.filter(|_| shows_top5(job)) {
            rows.push(row("top-5 error", percent(error)));
        }
        let steps = format!("{} in {}", grouped(outcome.steps as f64), counted(outcome.epochs, "whole epoch"));
        rows.push(row("steps", steps));
        if let Some(scale) = job.progress.as_ref().and_then(|p| p.noise.as_ref()).and_then(noise::scale_or_reason) {
            rows.push(row("noise scale", scale));
        }
        rows.push(row("time", duration(outcome.seconds)));
        if outcome.seconds > 0.0 {
            rows.push(row("samples/s", grouped(outcome.samples as f64 / outcome.seconds)));
        }
    }
    rows.push(row("workers", format!("{} × {}", job.workers, counted(job.threads.into(), "thread"))));
    rows.push(row("run folder", job.run_folder.clone()));
    Ok(print(&columns(&rows))?)
}
