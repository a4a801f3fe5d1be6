//! Rows of tables, as they are used.

use std::collections::{BTreeMap, BTreeSet};

use super::csv::Table;
use crate::report::ReportError;

/// A run of the study.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Its key.
    pub job: String,
    /// Its cell.
    pub cell: String,
    /// Its seed: 1 is paired with 1 of all cells.
    pub seed: u64,
    /// Number of its fingerprint.
    pub fingerprint: Option<u64>,
    /// Why it ended; empty if it has not.
    pub stop_reason: String,
    /// Steps that it took.
    pub steps: Option<f64>,
    /// Steps until the target.
    pub steps_to_target: Option<f64>,
    /// Loss of the training samples, at the end.
    pub train_loss: Option<f64>,
    /// Share of right answers among them.
    pub train_accuracy: Option<f64>,
    /// Share of wrong answers on validation samples.
    pub validation_error: Option<f64>,
    /// Share of wrong answers on test samples.
    pub test_error: Option<f64>,
    /// Whether its numbers stopped being finite.
    pub diverged: bool,
}

/// A learning rate that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// For which cell.
    pub cell: String,
    /// The learning rate.
    pub learning_rate: f64,
    /// What it came to; none if it diverged.
    pub score: Option<f64>,
    /// Whether it is the one that was taken.
    pub chosen: bool,
    /// Whether the grid was extended to it.
    pub extended: bool,
    /// How often its run looked at the test samples; none where a table of an earlier version doesn't say.
    pub test_evaluations: Option<u64>,
}

/// What a step told of its noise.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// The step.
    pub step: f64,
    /// trΣ.
    pub trace: Option<f64>,
    /// Unbiased ‖G‖².
    pub squared_norm: Option<f64>,
    /// Their ratio, where it is identified.
    pub scale: Option<f64>,
    /// What it is above, where it is not.
    pub above: Option<f64>,
    /// Lower end of the noise scale's interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// An evaluation while training.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Epochs that were over.
    pub epoch: f64,
    /// Which samples.
    pub split: String,
    /// Share of right answers.
    pub accuracy: Option<f64>,
}

/// Values of probes: (measure, step, figure, index) → value.
pub type ProbeValues = BTreeMap<(String, u64, String, u64), f64>;

/// Runs, in the table's order.
pub fn jobs(table: &Table) -> Result<Vec<Job>, ReportError> {
    let at = |name| table.column(name);
    let (job, cell, seed, fingerprint) = (at("job")?, at("cell")?, at("seed")?, at("fingerprint")?);
    let (reason, steps, target, diverged) = (at("stop_reason")?, at("steps")?, at("steps_to_target")?, at("diverged")?);
    let (train_loss, train_accuracy) = (at("train_loss")?, at("train_accuracy")?);
    let (validation, test) = (at("validation_error")?, at("test_error")?);
    let row = |row: super::csv::Row<'_>| {
        Ok(Job {
            job: row.text(job).into(),
            cell: row.text(cell).into(),
            seed: row.value(seed, "a seed")?,
            fingerprint: row.maybe(fingerprint, "a fingerprint's number")?,
            stop_reason: row.text(reason).into(),
            steps: row.number(steps)?,
            steps_to_target: row.number(target)?,
            train_loss: row.number(train_loss)?,
            train_accuracy: row.number(train_accuracy)?,
            validation_error: row.number(validation)?,
            test_error: row.number(test)?,
            diverged: row.maybe(diverged, "true or false")?.unwrap_or(false),
        })
    };
    table.rows().map(row).collect()
}

/// Trials of learning rates.
pub fn trials(table: &Table) -> Result<Vec<Trial>, ReportError> {
    let at = |name| table.column(name);
    let (cell, rate, score) = (at("cell")?, at("learning_rate")?, at("score")?);
    let (chosen, extended) = (at("chosen")?, at("extended")?);
    let tests = table.maybe_column("test_evaluations");
    let row = |row: super::csv::Row<'_>| {
        Ok(Trial {
            cell: row.text(cell).into(),
            learning_rate: row.value(rate, "a learning rate")?,
            score: row.number(score)?,
            chosen: row.maybe(chosen, "true or false")?.unwrap_or(false),
            extended: row.maybe(extended, "true or false")?.unwrap_or(false),
            test_evaluations: tests.map(|tests| row.maybe(tests, "a number of evaluations")).transpose()?.flatten(),
        })
    };
    table.rows().map(row).collect()
}

/// What steps told of their noise, by job; rows without it are left out.
pub fn noise(table: &Table) -> Result<BTreeMap<String, Vec<Noise>>, ReportError> {
    let at = |name| table.column(name);
    let (job, step) = (at("job")?, at("step")?);
    let (trace, squared_norm) = (at("noise_trace")?, at("noise_squared_norm")?);
    let (low, high) = (at("noise_low")?, at("noise_high")?);
    let (scale, above) = (at("noise_scale")?, at("noise_above")?);
    let mut jobs: BTreeMap<String, Vec<Noise>> = BTreeMap::new();
    for row in table.rows() {
        let noise = Noise {
            step: row.value(step, "a step")?,
            trace: row.number(trace)?,
            squared_norm: row.number(squared_norm)?,
            scale: row.number(scale)?,
            above: row.number(above)?,
            low: row.number(low)?,
            high: row.number(high)?,
        };
        if noise.trace.or(noise.scale).or(noise.above).is_some() {
            jobs.entry(row.text(job).into()).or_default().push(noise);
        }
    }
    Ok(jobs)
}

/// Evaluations, by job.
pub fn evaluations(table: &Table) -> Result<BTreeMap<String, Vec<Evaluation>>, ReportError> {
    let at = |name| table.column(name);
    let (job, epoch, split) = (at("job")?, at("epoch")?, at("split")?);
    let accuracy = at("accuracy")?;
    let mut jobs: BTreeMap<String, Vec<Evaluation>> = BTreeMap::new();
    for row in table.rows() {
        jobs.entry(row.text(job).into()).or_default().push(Evaluation {
            epoch: row.value(epoch, "an epoch")?,
            split: row.text(split).into(),
            accuracy: row.number(accuracy)?,
        });
    }
    Ok(jobs)
}

/// Probes as they were taken.
#[derive(Debug, Default)]
pub struct Probes {
    /// Values by job. Of two probes of one measure in a job the first counts, so that their values don't mix.
    pub values: BTreeMap<String, ProbeValues>,
    /// By measure, the probes that count, as `name on what`: several if jobs have different ones.
    pub taken: BTreeMap<String, BTreeSet<String>>,
    /// By measure, those that do not.
    pub left_out: BTreeMap<String, BTreeSet<String>>,
    /// Over which samples those that count are, by job and measure.
    pub over: BTreeMap<(String, String), Over>,
}

/// Samples that a probe is over.
#[derive(Clone, Debug)]
pub struct Over {
    /// `train`, `validation` or `subset`.
    pub on: String,
    /// How many; none where the table doesn't say.
    pub samples: Option<u64>,
}

/// Values of probes.
pub fn probes(table: &Table) -> Result<Probes, ReportError> {
    let at = |name| table.column(name);
    let (job, step, probe, measure, on) = (at("job")?, at("step")?, at("probe")?, at("measure")?, at("on")?);
    let (samples, figure, index, value) = (at("samples")?, at("figure")?, at("index")?, at("value")?);
    let mut probes = Probes::default();
    let mut names: BTreeMap<(&str, &str), (&str, &str)> = BTreeMap::new();
    for row in table.rows() {
        let (job, measure) = (row.text(job), row.text(measure));
        let name = (row.text(probe), row.text(on));
        let is_first = *names.entry((job, measure)).or_insert(name) == name;
        let of_measure = if is_first { &mut probes.taken } else { &mut probes.left_out };
        let of_measure = of_measure.entry(measure.into()).or_default();
        let words = format!("{} on {}", name.0, name.1);
        if !of_measure.contains(&words) {
            of_measure.insert(words);
        }
        if is_first {
            let of = (job.to_owned(), measure.to_owned());
            let samples = row.maybe(samples, "a number of samples")?;
            probes.over.entry(of).or_insert_with(|| Over { on: name.1.into(), samples });
        }
        let (index, step) = (row.maybe(index, "an index")?.unwrap_or(0), row.value(step, "a step")?);
        if let Some(value) = row.number(value)?.filter(|_| is_first) {
            let key = (measure.into(), step, row.text(figure).into(), index);
            probes.values.entry(job.into()).or_default().insert(key, value);
        }
    }
    Ok(probes)
}
