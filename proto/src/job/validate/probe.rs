//! Probes that no job can have.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{Violation, is_blake3};
use crate::job::spec::{Job, MOST_PROBE_VALUES, Precision, Probe, ProbeMeasure, ProbeSamples};

const MAX_PROBES: usize = 64;
const MAX_NAME: usize = 64;
const MAX_STRENGTHS: usize = 64;
/// Keys with their largest values.
const MOST: [(&str, f64); 8] = [
    ("top", 64.0),
    ("iterations", 1000.0),
    ("tolerance", 1.0),
    ("draws", 1000.0),
    ("radius", 1000.0),
    ("lanes", 1024.0),
    ("points", 1001.0),
    ("extent", 100.0),
];
/// Keskar et al. 2017 have 100.
const MAX_SUBSPACE: u32 = 200;
/// A plane's points are squared, and all of them are one line of `metrics.jsonl`.
const MAX_PLANE: u32 = 51;

pub(super) fn probes(job: &Job) -> Result<(), Violation> {
    if job.probe.len() > MAX_PROBES {
        return refuse(format!("{} tables `[[probe]]`: {MAX_PROBES} are the most", job.probe.len()));
    }
    let mut titles = BTreeSet::new();
    for probe in &job.probe {
        if !titles.insert(probe.title()) {
            return refuse(format!("two probes are called {:?}: give one another `name`", probe.title()));
        }
        name(probe)?;
        samples(probe, job)?;
        numbers(probe)?;
        file(probe)?;
        products(probe, job)?;
    }
    Ok(())
}

/// What products with the Hessian can be told and computed of.
fn products(probe: &Probe, job: &Job) -> Result<(), Violation> {
    use ProbeMeasure::{Density, Eigenvalues, Keskar, Trace};
    let title = probe.title();
    if probe.measure == Density {
        // A node and a weight each, and some moments.
        let nodes = u64::from(probe.density_draws()) * u64::from(probe.density_iterations());
        let most = (MOST_PROBE_VALUES as u64 - 100) / 2;
        if nodes > most {
            return refuse(format!(
                "{title} would tell {nodes} nodes, `draws` times `iterations`: {most} are the most, so lower one"
            ));
        }
    }
    if probe.measure == Keskar && probe.draws > MAX_SUBSPACE {
        let draws = probe.draws;
        return refuse(format!("`draws` = {draws} of {title}: must be 0 to {MAX_SUBSPACE}, dimensions of a subspace"));
    }
    if matches!(probe.measure, Eigenvalues | Trace | Density) && job.model.precision != Precision::F32 {
        let problem =
            format!("{title} needs `model.precision` = \"f32\": products with the Hessian are too rough in fewer bits");
        return Err(Violation::new(&["probe", "model.precision"], problem));
    }
    Ok(())
}

fn name(probe: &Probe) -> Result<(), Violation> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if probe.name.len() > MAX_NAME || !probe.name.chars().all(allowed) {
        let shown: String = probe.name.chars().take(MAX_NAME).collect();
        return refuse(format!("a probe's name has up to {MAX_NAME} letters, digits, -, _ and ., not {shown:?}"));
    }
    Ok(())
}

fn samples(probe: &Probe, job: &Job) -> Result<(), Violation> {
    let title = probe.title();
    if (probe.measure, probe.on) == (ProbeMeasure::Gap, ProbeSamples::Validation) {
        return refuse(format!(
            "{title} is between training samples and those held out: set `on` to another than those"
        ));
    }
    if !probe.measure.has_samples() && (probe.on, probe.samples) != (ProbeSamples::default(), 0) {
        return refuse(format!("{title} looks at no samples: leave `on` and `samples` out"));
    }
    if probe.on != ProbeSamples::Subset && probe.samples > 0 {
        return refuse(format!(
            "{title} is on all {} samples: leave `samples` out, or set `on = \"subset\"`",
            probe.on.as_str()
        ));
    }
    if probe.on == ProbeSamples::Validation && job.data.validation == 0 {
        let problem = format!("{title} is on validation samples, of which there are none: set `data.validation`");
        return Err(Violation::new(&["probe", "data.validation"], problem));
    }
    Ok(())
}

/// Values within bounds, and none where the measure has no part for them.
fn numbers(probe: &Probe) -> Result<(), Violation> {
    let title = probe.title();
    let table = Table::try_from(probe).expect("TOML can say every probe that was read");
    for (key, most) in MOST {
        let value = match table.get(key) {
            Some(Value::Integer(value)) => *value as f64,
            Some(Value::Float(value)) => *value,
            _ => 0.0,
        };
        if value != 0.0 && !probe.measure.keys().contains(&key) {
            return refuse(format!("{title} has no part for `{key}`: leave it out"));
        }
        if !(0.0..=most).contains(&value) {
            return refuse(format!("`{key}` = {value} of {title}: must be 0 to {most}"));
        }
    }
    if probe.measure == ProbeMeasure::Plane && probe.points > MAX_PLANE {
        return refuse(format!("`points` = {} of {title}: must be 0 to {MAX_PLANE}, which are squared", probe.points));
    }
    if !probe.strengths.is_empty() && !probe.measure.keys().contains(&"strengths") {
        return refuse(format!("{title} has no part for `strengths`: leave it out"));
    }
    if probe.strengths.len() > MAX_STRENGTHS
        || probe.strengths.iter().any(|strength| !(-1000.0..=1000.0).contains(strength))
    {
        return refuse(format!("`strengths` of {title}: up to {MAX_STRENGTHS} numbers, each -1000 to 1000"));
    }
    strengths(probe)
}

/// A file of weights, with its hash.
fn file(probe: &Probe) -> Result<(), Violation> {
    let title = probe.title();
    if !probe.from.is_empty() && !probe.measure.keys().contains(&"from") {
        return refuse(format!("{title} has no part for `from`: leave it out"));
    }
    if !probe.from_blake3.is_empty() && probe.from.is_empty() {
        return refuse(format!("`from_blake3` of {title} needs `from`: name the file of weights"));
    }
    if !probe.from_blake3.is_empty() && !is_blake3(&probe.from_blake3) {
        return refuse(format!("`from_blake3` of {title} must be 64 hexadecimal digits in lower case, or be left out"));
    }
    Ok(())
}

/// Strengths that leave something of an image.
fn strengths(probe: &Probe) -> Result<(), Violation> {
    let (low, high) = match probe.measure {
        ProbeMeasure::Rotations => (-180.0, 180.0),
        ProbeMeasure::Scalings => (-0.9, 9.0),
        ProbeMeasure::Noise | ProbeMeasure::Fgsm => (0.0, 10.0),
        _ => return Ok(()),
    };
    match probe.strengths.iter().find(|strength| !(low..=high).contains(*strength)) {
        None => Ok(()),
        Some(strength) => {
            refuse(format!("`strengths` of {} has {strength}: each must be {low} to {high}", probe.title()))
        }
    }
}

fn refuse(problem: String) -> Result<(), Violation> {
    Err(Violation::new(&["probe"], problem))
}
