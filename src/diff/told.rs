//! What `diff` found, for people and for programs.

use std::path::Path;

use lockstep_coordinator::client::columns;
use serde_json::{Value, json};

use super::states::StateDifference;
use super::{Comparison, Side};

/// A few lines, and tables of what differs.
pub fn table(sides: &[Side; 2], comparison: &Comparison, picture: &Path) -> String {
    let mut text = columns(&sides.iter().enumerate().map(|(index, side)| run(index, side)).collect::<Vec<_>>());
    text.push_str(&keys(comparison));
    text.push_str(&states(comparison));
    if let Some(first) = &comparison.reported.first {
        let ([ours, theirs], figure) = (&first.values, &first.figure);
        text.push_str(&format!("\nfirst report that differs: step {}, {figure}: {ours} and {theirs}\n", first.step));
    }
    if let Some(exact) = &comparison.exact {
        exact.remarks.iter().for_each(|remark| text.push_str(&format!("\n{remark}\n")));
    }
    text.push_str(&format!("\n{}\npicture: {}\n", verdict(comparison), picture.display()));
    text
}

fn run(index: usize, side: &Side) -> Vec<String> {
    let how = side.summary["stop_reason"].as_str().unwrap_or("has not ended");
    let steps = side.steps().map_or(String::new(), |steps| format!("{steps} steps, "));
    let fork =
        side.forked.as_ref().map_or(String::new(), |fork| format!("forked at step {} from {}", fork.step, fork.run));
    vec![format!("RUN{}", index + 1), side.run.folder().display().to_string(), format!("{steps}{how}"), fork]
}

/// Keys of the jobs, data set and fingerprint.
fn keys(comparison: &Comparison) -> String {
    let records =
        comparison.records.iter().map(|(what, [ours, theirs])| vec![(*what).to_owned(), ours.clone(), theirs.clone()]);
    let keys = comparison.keys.iter().map(|key| vec![key.key.clone(), key.first.clone(), key.second.clone()]);
    let rows: Vec<Vec<String>> = keys.chain(records).collect();
    if rows.is_empty() {
        return "\nthe jobs, data sets and fingerprints are the same\n".to_owned();
    }
    let heading = ["KEY", "RUN1", "RUN2"].map(String::from).to_vec();
    format!("\n{}", columns(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()))
}

/// Common checkpoints, the step that was found by training, and the weights at the end.
fn states(comparison: &Comparison) -> String {
    const HEADING: [&str; 7] =
        ["STATE OF STEP", "DISTANCE", "TENSORS", "THE FIRST", "ULP", "LARGEST DIFFERENCE", "RELATIVE"];
    let mut by_step = Vec::new();
    for common in &comparison.checkpoints {
        let distance = match common.distance {
            None => String::new(),
            Some(0.0) => "0".to_owned(),
            Some(distance) => format!("{distance:.1e}"),
        };
        let row = [vec![common.step.to_string(), distance], cells(common.difference.as_ref())].concat();
        by_step.push((common.step, row));
    }
    if let Some((step, difference)) = comparison.exact.as_ref().and_then(|exact| exact.found.as_ref()) {
        let row = [vec![format!("{step} (trained again)"), String::new()], cells(Some(difference))].concat();
        by_step.push((*step, row));
    }
    by_step.sort_by_key(|(step, _)| *step);
    let mut rows = vec![HEADING.map(String::from).to_vec()];
    rows.extend(by_step.into_iter().map(|(_, row)| row));
    if let Some(last) = &comparison.last {
        let steps = last.steps.map(|step| step.map_or("?".to_owned(), |step| step.to_string()));
        let steps = if steps[0] == steps[1] { steps[0].clone() } else { steps.join(" and ") };
        let mut cells = cells(last.difference.as_ref());
        // They are in the order of their names, which says nothing: no tensor is the first.
        cells.iter_mut().skip(1).take(2).for_each(|cell| *cell = String::new());
        rows.push([vec![format!("{steps} (final weights)"), String::new()], cells].concat());
    }
    if rows.len() == 1 {
        "\nno step of which both have the state\n".to_owned()
    } else {
        format!("\n{}", columns(&rows))
    }
}

/// Tensors, the first, how far its first element is, and the largest differences.
fn cells(difference: Option<&StateDifference>) -> Vec<String> {
    let Some(difference) = difference else { return vec!["the same bits".to_owned()] };
    let counted = format!("{} of {}", difference.tensors, difference.of);
    let Some(first) = &difference.tensor else {
        return vec![counted, "cursor, losses of the epoch or evaluations".to_owned()];
    };
    let name = match first.element {
        Some(element) => format!("{}[{element}]", first.name),
        None => format!("{} (in one alone, or of another shape)", first.name),
    };
    let largest = |largest: &Option<(f64, String)>| {
        largest.as_ref().map_or(String::new(), |(value, tensor)| format!("{value:.1e} in {tensor}"))
    };
    let ulps = first.ulps.map_or(String::new(), |ulps| ulps.to_string());
    vec![counted, name, ulps, largest(&difference.largest_absolute), largest(&difference.largest_relative)]
}

/// The answer in a line.
fn verdict(comparison: &Comparison) -> String {
    let equal = comparison.equal_at().first().copied();
    if let Some(step) = comparison.differs_at() {
        let by_training = comparison.exact.as_ref().and_then(|exact| exact.step()) == Some(step);
        let equal = match (equal, by_training) {
            (Some(equal), true) => format!("equal to step {equal}"),
            (Some(equal), false) => format!("equal to step {equal} (checkpoint)"),
            (None, true) => "equal nowhere".to_owned(),
            (None, false) => "not known to be equal at any step".to_owned(),
        };
        let again = match &comparison.exact {
            Some(exact) if exact.found.is_none() => {
                let to = exact.equal_to.map_or_else(|| "the beginning".into(), |step| format!("step {step}"));
                format!("; trained again here, both jobs come to the same bits up to {to}")
            }
            _ => String::new(),
        };
        let first = if by_training { "differ first at" } else { "differ at" };
        return format!("{equal}, {first} step {step}{again}");
    }
    let steps = comparison.last.as_ref().map(|last| last.steps);
    match steps {
        Some([Some(a), Some(b)]) if a != b => {
            format!("the same bits as far as both were compared; one has {a} steps, the other {b}")
        }
        Some(_) => "the same bits".to_owned(),
        None => "the same bits as far as both were compared".to_owned(),
    }
}

/// All of it.
pub fn json(sides: &[Side; 2], comparison: &Comparison) -> Value {
    let key = |key: &lockstep_proto::job::KeyDifference| json!({ "key": key.key, "values": [key.first, key.second] });
    let record = |(what, values): &(&str, [String; 2])| json!({ "what": what, "values": values });
    let common = |common: &super::Common| {
        json!({
            "step": common.step,
            "digests": common.digests,
            "distance": common.distance,
            "difference": common.difference.as_ref().map(state_json),
        })
    };
    let exact = |exact: &super::Exact| {
        json!({
            "equal_to": exact.equal_to,
            "step": exact.step(),
            "difference": exact.found.as_ref().map(|(_, difference)| state_json(difference)),
            "remarks": exact.remarks,
        })
    };
    let first = comparison.reported.first.as_ref();
    json!({
        "runs": sides.each_ref().map(|side| side.run.folder().display().to_string()),
        "steps": sides.each_ref().map(Side::steps),
        "same": comparison.is_same(),
        "verdict": verdict(comparison),
        "equal_to": comparison.equal_at().first(),
        "differs_at": comparison.differs_at(),
        "keys": comparison.keys.iter().map(key).collect::<Vec<_>>(),
        "records": comparison.records.iter().map(record).collect::<Vec<_>>(),
        "reports": {
            "compared": comparison.reported.compared,
            "last": comparison.reported.last,
            "first": first.map(|first| json!({ "step": first.step, "figure": first.figure, "values": first.values })),
        },
        "checkpoints": comparison.checkpoints.iter().map(common).collect::<Vec<_>>(),
        "final": comparison.last.as_ref().map(|last| json!({
            "steps": last.steps,
            "difference": last.difference.as_ref().map(state_json),
        })),
        "exact": comparison.exact.as_ref().map(exact),
    })
}

fn state_json(difference: &StateDifference) -> Value {
    let largest = |largest: &Option<(f64, String)>| {
        largest.as_ref().map(|(value, tensor)| json!({ "value": value, "tensor": tensor }))
    };
    json!({
        "first": difference.tensor.as_ref().map(|first| json!({
            "tensor": first.name,
            "element": first.element,
            "values": first.values,
            "ulps": first.ulps,
            "elements": first.elements,
            "of": first.of,
        })),
        "tensors": difference.tensors,
        "of": difference.of,
        "largest_absolute": largest(&difference.largest_absolute),
        "largest_relative": largest(&difference.largest_relative),
    })
}
