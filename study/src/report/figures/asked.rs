//! What a study is after: figures that it lacks for another reason than not having asked for their data.

use std::collections::BTreeSet;

use crate::report::view::View;

/// Whether a study that has no figure of this family was after one. What its recipe names, it was after.
pub fn asked(view: &View<'_>, family: &str) -> bool {
    let study = &view.tables.study;
    if study.figures.iter().any(|name| name == family) {
        return true;
    }
    let cells = view.cells();
    let batches: BTreeSet<u64> = cells.iter().map(|cell| cell.batch).collect();
    let aims = |key: &str| study.job_key(["schedule", key]).and_then(|value| value.as_f64()).unwrap_or(0.0) > 0.0;
    let by_rule = |rule: &str| cells.iter().any(|cell| cell.rate == rule);
    match family {
        "accuracy" | "gap" => batches.len() > 1,
        "variants" => {
            let variants: BTreeSet<_> = cells.iter().map(|cell| (&cell.arm, &cell.rate)).collect();
            variants.len() > 1
        }
        "steps-to-target" | "trade-off" => aims("target_accuracy") || aims("target_loss"),
        "sharpness" => {
            batches.len() > 1 && ["eigenvalues", "trace", "keskar", "sam"].iter().any(|name| probed(view, name))
        }
        "ratio" => by_rule("ratio"),
        // Nobody expects the edge of batches that are not all samples, or sees it in one measurement.
        "edge" => {
            let full = cells.iter().any(|cell| cell.train_samples.is_none_or(|samples| cell.batch >= samples));
            let listed = view.tables.study.job.get("probe").and_then(|probes| probes.as_array());
            let once = |probe: &serde_json::Value| probe.get("every").and_then(|every| every.as_u64()) == Some(0);
            full && probed(view, "eigenvalues") && !listed.is_some_and(|probes| probes.iter().all(once))
        }
        "distance" => probed(view, "weights"),
        "density" | "slice" | "plane" => probed(view, family),
        "tuning" => by_rule("tuned"),
        _ => true,
    }
}

/// Whether the base job measures it, or a run did. Without their table nobody can say which runs did.
fn probed(view: &View<'_>, measure: &str) -> bool {
    let listed = view.tables.study.job.get("probe").and_then(|probes| probes.as_array());
    let is = |probe: &serde_json::Value| probe.get("measure").and_then(|name| name.as_str()) == Some(measure);
    view.tables.absent.contains("probes.csv")
        || view.tables.probes.taken.contains_key(measure)
        || listed.is_some_and(|probes| probes.iter().any(is))
}
