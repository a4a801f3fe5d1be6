//! Two runs' `metrics.jsonl`, report by report. Losses are the same bits on any hardware, so that the first that
//! differs tells of another state, or of another job.
//!
//! Figures are compared as they are written: the shortest text that gives the number again, so that other bits are
//! another text.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use anyhow::Result;
use lockstep_coordinator::run_folder::LONGEST_LINE;
use serde_json::value::RawValue;

use crate::BadInput;
use crate::run::Run;

/// What a report is of; at one step, the loss of the step is of the weights before it, the others of those behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Step,
    Evaluation(String),
    Probe(String),
}

/// Figures of a report by name, as they are written.
type Figures = BTreeMap<String, String>;
/// All reports of a run.
type Reports = BTreeMap<(u64, Kind), Figures>;

/// What comparing found.
#[derive(Debug, Default)]
pub struct Reported {
    /// Reports that both have.
    pub compared: usize,
    /// The last step of which both have reports.
    pub last: u64,
    /// The first figure that differs.
    pub first: Option<ReportDifference>,
    /// Steps, and how far apart the training losses are there.
    pub losses: Vec<(f64, f64)>,
}

/// A figure with another value in each run.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportDifference {
    pub step: u64,
    /// Such as `loss` or `accuracy of test`.
    pub figure: String,
    /// As they are written.
    pub values: [String; 2],
}

/// Compares what both have reported of the same steps.
///
/// # Errors
/// If a file cannot be read.
pub fn compare(first: &Run, second: &Run) -> Result<Reported> {
    Ok(compare_all(&read(first)?, &read(second)?))
}

fn read(run: &Run) -> Result<Reports> {
    let path = run.folder().join("metrics.jsonl");
    let refused = |what: String| BadInput(format!("{}: {what}", path.display()));
    let mut reader = BufReader::new(File::open(&path).map_err(|error| refused(error.to_string()))?);
    let (mut all, mut line) = (Reports::new(), String::new());
    for number in 1.. {
        line.clear();
        (&mut reader)
            .take(LONGEST_LINE)
            .read_line(&mut line)
            .map_err(|error| refused(format!("line {number}: {error}")))?;
        // The end, or the beginning of a line that is being written.
        let Some(text) = line.strip_suffix('\n') else {
            if line.len() as u64 == LONGEST_LINE {
                return Err(refused(format!("line {number} is longer than {LONGEST_LINE} bytes")).into());
            }
            break;
        };
        let (place, figures) = report(text).ok_or_else(|| refused(format!("line {number} is no report")))?;
        all.insert(place, figures);
    }
    Ok(all)
}

/// Measured figures of a line; rates and times are none.
fn report(line: &str) -> Option<((u64, Kind), Figures)> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(line).ok()?;
    let step: u64 = fields.get("step")?.get().parse().ok()?;
    let text = |key: &str| -> Option<String> { serde_json::from_str(fields.get(key)?.get()).ok() };
    if let Some(title) = text("probe") {
        let figures: Figures = serde_json::from_str::<BTreeMap<String, &RawValue>>(fields.get("figures")?.get())
            .ok()?
            .into_iter()
            .map(|(name, values)| (format!("{name} of {title}"), values.get().to_owned()))
            .collect();
        return Some(((step, Kind::Probe(title)), figures));
    }
    let split = text("split");
    let of = |what: &str| split.as_ref().map_or(what.to_owned(), |split| format!("{what} of {split}"));
    let mut figures = Figures::new();
    for what in ["accuracy", "loss"] {
        figures.insert(of(what), fields.get(what)?.get().to_owned());
    }
    Some(((step, split.map_or(Kind::Step, Kind::Evaluation)), figures))
}

fn compare_all(first: &Reports, second: &Reports) -> Reported {
    let mut found = Reported::default();
    for ((step, kind), ours) in first {
        let Some(theirs) = second.get(&(*step, kind.clone())) else { continue };
        (found.compared, found.last) = (found.compared + 1, *step);
        let differs = |(name, value): &(&String, &String)| theirs.get(*name).is_some_and(|other| other != *value);
        // The loss says more than the accuracy, which has few values.
        if let (None, Some((figure, value))) = (&found.first, ours.iter().rev().find(differs)) {
            let values = [value.clone(), theirs.get(figure).cloned().unwrap_or_default()];
            found.first = Some(ReportDifference { step: *step, figure: figure.clone(), values });
        }
        if let (Kind::Step, Some(a), Some(b)) = (kind, number(ours, "loss"), number(theirs, "loss")) {
            found.losses.push((*step as f64, (a - b).abs()));
        }
    }
    found
}

/// A figure that is a number; where a loss was none, null is written.
fn number(figures: &Figures, name: &str) -> Option<f64> {
    figures.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(lines: &[String]) -> Reports {
        lines.iter().map(|line| report(line).unwrap()).collect()
    }

    fn step(step: u64, loss: &str) -> String {
        format!(r#"{{"kind":"step","step":{step},"loss":{loss},"accuracy":0.5,"seconds":{{"data":{step}.5}}}}"#)
    }

    #[test]
    fn the_first_loss_that_differs_is_found_among_the_steps_of_both() {
        let lines =
            |losses: &[(u64, &str)]| reports(&losses.iter().map(|(at, loss)| step(*at, loss)).collect::<Vec<_>>());
        let first = lines(&[(1, "0.5"), (2, "0.4"), (3, "0.3"), (5, "null"), (7, "0.1")]);
        let second = lines(&[(1, "0.5"), (3, "0.30000000000000004"), (4, "9.0"), (5, "null"), (7, "0.25")]);
        let found = compare_all(&first, &second);
        let difference = found.first.unwrap();
        assert_eq!((difference.step, difference.figure.as_str()), (3, "loss"));
        assert_eq!(difference.values, ["0.3", "0.30000000000000004"]);
        assert_eq!((found.compared, found.last), (4, 7));
        assert_eq!(found.losses.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1.0, 3.0, 7.0]);
        assert_eq!(compare_all(&first, &first).first, None);
    }

    #[test]
    fn evaluations_and_probes_are_told_apart() {
        let line = |split: &str, loss| format!(r#"{{"step":4,"split":"{split}","loss":{loss},"accuracy":0.5}}"#);
        let probe = |values| format!(r#"{{"step":4,"probe":"top","figures":{{"eigenvalues":{values}}}}}"#);
        let first = reports(&[line("test", 1.5), line("validation", 2.5), probe("[1.5,2.5]"), step(4, "1.0")]);
        assert_eq!(first.len(), 4);
        let differing = |second: &[String]| compare_all(&first, &reports(second)).first.map(|found| found.figure);
        assert_eq!(differing(&[line("validation", 2.25)]).as_deref(), Some("loss of validation"));
        assert_eq!(differing(&[probe("[1.5,null]")]).as_deref(), Some("eigenvalues of top"));
        assert_eq!(differing(&[line("test", 1.5), step(4, "1.0")]), None);
        assert!(report("{}").is_none() && report(r#"{"step":1,"loss":2}"#).is_none());
    }
}
