//! What a study is after: the figures that its report has without being told, or says why it lacks them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::variants;
use crate::report::tables::Job;
use crate::report::view::View;

/// Whether a study is after the figures of this family. What its recipe names, it is after.
pub fn asked(view: &View<'_>, family: &str) -> bool {
    let study = &view.tables.study;
    if study.figures.iter().any(|name| name == family) {
        return true;
    }
    let cells = view.cells();
    let batches: BTreeSet<u64> = cells.iter().map(|cell| cell.batch).collect();
    let aims = |key: &str| study.job_key(["schedule", key]).and_then(|value| value.as_f64()).unwrap_or(0.0) > 0.0;
    // An arm may set a target of its own: what runs end at is theirs. The mean training loss of `loss` is another matter.
    let to_a_loss: BTreeSet<&str> =
        cells.iter().filter(|cell| cell.budget == "loss").map(|cell| cell.cell.as_str()).collect();
    let ended_at_one = |job: &Job| job.stop_reason == "target" && !to_a_loss.contains(job.cell.as_str());
    let aims_at_error = aims("target_accuracy") || aims("target_loss") || view.tables.jobs.iter().any(ended_at_one);
    let by_rule = |rule: &str| cells.iter().any(|cell| cell.rate == rule);
    match family {
        // A run that ends at a target tells of the steps that it took: its error is the target's.
        // Arms of one batch size each are what `variants` compares, where it can.
        "accuracy" => {
            let by_arm = view.lines().iter().all(|line| line.cells.len() < 2);
            batches.len() > 1 && !aims_at_error && !(by_arm && variants::are_there(view))
        }
        "gap" => batches.len() > 1 && (!aims_at_error || probed(view, "gap")),
        "variants" => {
            let variants: BTreeSet<_> = cells.iter().map(|cell| (&cell.arm, &cell.rate)).collect();
            variants.len() > 1
        }
        "steps-to-target" | "trade-off" => {
            aims_at_error || view.tables.jobs.iter().any(|job| job.steps_to_target.is_some())
        }
        "sharpness" => {
            batches.len() > 1 && ["eigenvalues", "trace", "keskar", "sam"].iter().any(|name| probed(view, name))
        }
        "ratio" => by_rule("ratio"),
        // Nobody expects the edge of batches that are not all samples, or sees it in one measurement.
        "edge" => {
            let full = cells.iter().any(|cell| cell.train_samples.is_none_or(|samples| cell.batch >= samples));
            full && probed(view, "eigenvalues") && !once(view, "eigenvalues")
        }
        "distance" => probed(view, "weights"),
        "density" | "slice" | "plane" => probed(view, family),
        "tuning" => by_rule("tuned"),
        _ => true,
    }
}

/// Whether the base job measures it, or a run did. Without their table nobody can say which runs did.
fn probed(view: &View<'_>, measure: &str) -> bool {
    view.tables.absent.contains("probes.csv")
        || view.tables.probes.taken.contains_key(measure)
        || listed(view, measure).next().is_some()
}

/// Whether the base job measures it, and only at the end.
fn once(view: &View<'_>, measure: &str) -> bool {
    let at_end = |probe: &Value| probe.get("every").and_then(Value::as_u64) == Some(0);
    listed(view, measure).next().is_some() && listed(view, measure).all(at_end)
}

/// The base job's probes of it.
fn listed<'a>(view: &View<'a>, measure: &str) -> impl Iterator<Item = &'a Value> {
    let listed = view.tables.study.job.get("probe").and_then(Value::as_array);
    let is = move |probe: &&Value| probe.get("measure").and_then(Value::as_str) == Some(measure);
    listed.into_iter().flatten().filter(is)
}
