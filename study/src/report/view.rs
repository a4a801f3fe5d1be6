//! The study as figures look at it: cells in lines over batch sizes, and their runs by seed.

use std::collections::{BTreeMap, BTreeSet};

use super::tables::{Cell, Job, Over, ProbeValues, Tables};
use super::words::{number, told_apart};
use crate::statistics::mean;

/// A study, arranged.
pub struct View<'a> {
    /// What it is made of.
    pub tables: &'a Tables,
    /// By cell and seed. Where a seed was run with several fingerprints, that of most runs counts.
    runs: BTreeMap<&'a str, BTreeMap<u64, &'a Job>>,
    lines: Vec<Line<'a>>,
}

/// Cells that differ in the batch size alone.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// In what it differs from other lines; empty if it is the only one.
    pub label: String,
    /// The same without its budget, and never empty.
    pub variant: String,
    /// Its style in all figures.
    pub style: usize,
    /// By ascending batch size.
    pub cells: Vec<&'a Cell>,
}

/// Values by seed.
pub type BySeed = BTreeMap<u64, f64>;

impl<'a> View<'a> {
    /// Arranges what was read.
    pub fn new(tables: &'a Tables) -> Self {
        Self { tables, runs: runs(&tables.jobs), lines: lines(&tables.study.cells) }
    }

    /// Whether a run has seen the test samples: errors are of these, else of validation samples.
    pub fn tested(&self) -> bool {
        self.tables.jobs.iter().any(|job| job.test_error.is_some())
    }

    /// A run's error, in per cent, as [`View::tested`] has it.
    pub fn error(&self) -> impl Fn(&Job) -> Option<f64> + Copy {
        let tested = self.tested();
        move |job| if tested { job.test_error } else { job.validation_error }.map(|error| 100.0 * error)
    }

    /// Cells in the recipe's order.
    pub fn cells(&self) -> &'a [Cell] {
        &self.tables.study.cells
    }

    /// Cells by what they have in common.
    pub fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// Runs of a cell that have ended, by seed.
    pub fn runs(&self, cell: &Cell) -> impl Iterator<Item = (u64, &'a Job)> {
        self.runs.get(cell.cell.as_str()).into_iter().flatten().map(|(seed, job)| (*seed, *job))
    }

    /// Every seed that any run has.
    pub fn seeds(&self) -> BTreeSet<u64> {
        self.runs.values().flat_map(|runs| runs.keys().copied()).collect()
    }

    /// A figure of a cell's runs. Runs that diverged are told apart, not averaged in.
    pub fn values(&self, cell: &Cell, figure: impl Fn(&'a Job) -> Option<f64>) -> BySeed {
        let runs = self.runs(cell).filter(|(_, job)| !job.diverged);
        runs.filter_map(|(seed, job)| Some((seed, figure(job)?))).collect()
    }

    /// What is told of a cell beside others: its line and its batch, as far as they differ.
    pub fn label(&self, cell: &Cell) -> String {
        let line = self.lines.iter().find(|line| line.cells.iter().any(|other| other.cell == cell.cell));
        let batches: BTreeSet<u64> = self.cells().iter().map(|cell| cell.batch).collect();
        let batch = (batches.len() > 1).then(|| format!("batch {}", super::words::whole(cell.batch)));
        let line = line.map(|line| line.label.clone()).filter(|label| !label.is_empty());
        let parts: Vec<String> = line.into_iter().chain(batch).collect();
        if parts.is_empty() { cell.arm.clone() } else { parts.join(", ") }
    }

    /// What a cell is beside others of its batch and budget.
    pub fn variant(&self, cell: &Cell) -> &str {
        let line = self.lines.iter().find(|line| line.cells.iter().any(|other| other.cell == cell.cell));
        line.map_or("", |line| &line.variant)
    }

    /// What a cell's style is: its place among the cells.
    pub fn place(&self, cell: &Cell) -> usize {
        self.cells().iter().position(|other| other.cell == cell.cell).unwrap_or(0)
    }

    /// Values of a job's probes.
    pub fn probes(&self, job: &Job) -> Option<&'a ProbeValues> {
        self.tables.probes.values.get(&job.job)
    }

    /// Over which samples a job has measured something.
    pub fn over(&self, job: &Job, measure: &str) -> Option<&'a Over> {
        self.tables.probes.over.get(&(job.job.clone(), measure.to_owned()))
    }

    /// The first value of a probe's figure at its last measurement.
    pub fn last(&self, job: &Job, measure: &str, figure: &str) -> Option<f64> {
        self.over_steps(job, measure, figure).last().map(|(_, value)| *value)
    }

    /// The first value of a probe's figure, over steps.
    pub fn over_steps(&self, job: &Job, measure: &str, figure: &str) -> Vec<(f64, f64)> {
        let Some(probes) = self.probes(job) else { return Vec::new() };
        let from = (measure.to_owned(), 0, String::new(), 0);
        let measured = probes.range(from..).take_while(|(key, _)| key.0 == measure);
        let first = measured.filter(|(key, _)| key.2 == figure && key.3 == 0);
        first.map(|(key, value)| (key.1 as f64, *value)).collect()
    }

    /// The largest eigenvalue over steps: `highest` where it is told, since the first of `eigenvalues` is the largest in
    /// magnitude.
    pub fn sharpness(&self, job: &Job) -> Vec<(f64, f64)> {
        let highest = self.over_steps(job, "eigenvalues", "highest");
        if highest.is_empty() { self.over_steps(job, "eigenvalues", "eigenvalues") } else { highest }
    }

    /// All values of a probe's figure at its last measurement, by index; those that are not finite are not there.
    pub fn last_values(&self, job: &Job, measure: &str, figure: &str) -> BTreeMap<u64, f64> {
        let Some(probes) = self.probes(job) else { return BTreeMap::new() };
        let from = (measure.to_owned(), 0, String::new(), 0);
        let measured: Vec<_> = probes.range(from..).take_while(|(key, _)| key.0 == measure).collect();
        let last = measured.last().map(|(key, _)| key.1);
        let there = measured.into_iter().filter(|(key, _)| Some(key.1) == last && key.2 == figure);
        there.map(|(key, value)| (key.3, *value)).collect()
    }

    /// What the runs of some cells told of their noise; those that diverged are left out.
    pub fn noise(&self, cells: &[&Cell]) -> RunNoise {
        let mut noise = RunNoise::default();
        for (_, job) in cells.iter().flat_map(|cell| self.runs(cell)).filter(|(_, job)| !job.diverged) {
            let steps = self.tables.noise.get(&job.job).map_or(&[][..], Vec::as_slice);
            noise.reports += steps.len();
            noise.identified += steps.iter().filter(|step| step.scale.is_some()).count();
        }
        noise
    }

    /// The noise scale of a whole run: the mean of the scales that it reported, which is what McCandlish et al. (2018)
    /// give. It may be too low where many were not identified.
    pub fn mean_scale(&self, job: &Job) -> Option<f64> {
        let steps = self.tables.noise.get(&job.job)?;
        mean(&steps.iter().filter_map(|step| step.scale).collect::<Vec<_>>())
    }

    /// Mean trΣ over mean ‖G‖² of a whole run, whether steps were identified or not: large gradients, mostly the first,
    /// decide it. None where the mean ‖G‖² is not positive.
    pub fn scale_of_means(&self, job: &Job) -> Option<f64> {
        let steps = self.tables.noise.get(&job.job)?;
        let both = || steps.iter().filter_map(|noise| noise.trace.zip(noise.squared_norm));
        let trace = mean(&both().map(|pair| pair.0).collect::<Vec<_>>())?;
        let squared_norm = mean(&both().map(|pair| pair.1).collect::<Vec<_>>())?;
        (squared_norm > 0.0).then(|| trace / squared_norm)
    }
}

/// How much was told of the noise scale.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunNoise {
    /// Reports that tell of noise.
    pub reports: usize,
    /// Those of them with a scale.
    pub identified: usize,
}

impl RunNoise {
    /// Per cent of the reports that have no scale.
    pub fn lost(&self) -> f64 {
        if self.reports == 0 { 0.0 } else { 100.0 * (self.reports - self.identified) as f64 / self.reports as f64 }
    }

    /// What a mean over identified scales has to be read with; nothing if all are.
    pub fn caveat(&self) -> String {
        if self.reports == self.identified {
            return String::new();
        }
        let share = number(self.lost());
        format!(
            "; at {share} % of the reported steps the scale is not identified, so the mean over the others may be too low"
        )
    }
}

fn runs(jobs: &[Job]) -> BTreeMap<&str, BTreeMap<u64, &Job>> {
    let mut frequent: BTreeMap<Option<u64>, usize> = BTreeMap::new();
    for job in jobs {
        *frequent.entry(job.fingerprint).or_default() += 1;
    }
    let rank = |job: &Job| (frequent.get(&job.fingerprint).copied().unwrap_or(0), std::cmp::Reverse(job.fingerprint));
    let mut runs: BTreeMap<&str, BTreeMap<u64, &Job>> = BTreeMap::new();
    for job in jobs.iter().filter(|job| !job.stop_reason.is_empty() || job.diverged) {
        let of_seed = runs.entry(&job.cell).or_default().entry(job.seed).or_insert(job);
        if rank(job) > rank(of_seed) {
            *of_seed = job;
        }
    }
    runs
}

/// η/B, rounded to ten digits: ratios that differ by rounding alone are equal.
pub fn ratio(cell: &Cell) -> Option<f64> {
    format!("{:.9e}", cell.learning_rate? / cell.batch as f64).parse().ok()
}

/// Lines in the order of their first cells. Cells of one batch size in one line (several listed learning rates, or
/// several ratios) are told apart by these, which are equal where they are the same number, not where they look alike.
fn lines(cells: &[Cell]) -> Vec<Line<'_>> {
    let key = |cell: &Cell| [cell.arm.clone(), cell.rate.clone(), cell.budget.clone()];
    let varies = |part: usize| cells.iter().map(|cell| key(cell)[part].clone()).collect::<BTreeSet<_>>().len() > 1;
    // Arms that have a rule each are told apart by their names.
    let ruled = cells.iter().any(|one| cells.iter().any(|other| one.arm == other.arm && one.rate != other.rate));
    let varying = [varies(0), ruled, varies(2)];
    let crowded = |cell: &Cell| {
        let same = |other: &&Cell| key(other) == key(cell) && other.batch == cell.batch;
        cells.iter().filter(same).count() > 1
    };
    let crowded: BTreeSet<_> = cells.iter().filter(|cell| crowded(cell)).map(key).collect();
    let mut keys: Vec<([String; 3], Option<String>)> = Vec::new();
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (cell, rate) in cells.iter().zip(rates(cells)) {
        let rate = crowded.contains(&key(cell)).then_some(rate);
        let [arm, rule, budget] = key(cell);
        let words = [arm.clone(), rate_words(&rule), format!("equal {budget}")];
        let parts: Vec<String> =
            words.into_iter().zip(varying).map(|(word, varies)| if varies { word } else { String::new() }).collect();
        let told = |parts: &[String]| {
            parts.iter().chain(&rate).filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
        };
        let (label, variant) = (told(&parts), told(&parts[..2]));
        let variant = if variant.is_empty() { arm } else { variant };
        let of_line = (key(cell), rate.clone());
        match keys.iter().position(|key| *key == of_line) {
            Some(place) => lines[place].cells.push(cell),
            None => {
                keys.push(of_line);
                lines.push(Line { label, variant, style: lines.len(), cells: vec![cell] });
            }
        }
    }
    lines.iter_mut().for_each(|line| line.cells.sort_by_key(|cell| cell.batch));
    lines
}

/// What a cell's learning rate is among all, in words that are the same for the same rate or ratio alone.
fn rates(cells: &[Cell]) -> Vec<String> {
    let by_ratio = |cell: &Cell| cell.rate == "ratio";
    let value = |cell: &Cell| if by_ratio(cell) { ratio(cell) } else { cell.learning_rate };
    let told = |ratios: bool| {
        told_apart(&cells.iter().filter(|cell| by_ratio(cell) == ratios).filter_map(value).collect::<Vec<_>>())
    };
    let (mut ratios, mut rates) = (told(true).into_iter(), told(false).into_iter());
    let word = |cell: &Cell| match (value(cell), by_ratio(cell)) {
        (None, _) => cell.cell.clone(),
        (Some(_), true) => format!("η/B = {}", ratios.next().unwrap_or_default()),
        (Some(_), false) => format!("η = {}", rates.next().unwrap_or_default()),
    };
    cells.iter().map(word).collect()
}

/// A rule of learning rates in words.
pub fn rate_words(rate: &str) -> String {
    match rate {
        "tuned" => "tuned rate".into(),
        "fixed" => "fixed rate".into(),
        "linear" => "linear scaling".into(),
        "sqrt" => "√ scaling".into(),
        "listed" => "listed rates".into(),
        "ratio" => "equal η/B".into(),
        other => other.into(),
    }
}
