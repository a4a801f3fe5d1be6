//! What a report says, before it is a page or Markdown.

use std::collections::BTreeSet;

use super::ReportError;
use super::confounders::{Confounder, confounders, kinds};
use super::figure::Picture;
use super::figures::{FAMILIES, Figure, asked};
use super::tables::{Cell, Tables};
use super::view::{View, rate_words};
use super::words::{list, number, whole, with_interval};
use crate::statistics::{Interval, mean_interval};

/// What a report says.
pub struct Content<'a> {
    /// What it is made of.
    pub tables: &'a Tables,
    /// What has to be known before anything is believed.
    pub warnings: Vec<String>,
    /// Those that the data allow.
    pub figures: Vec<Figure>,
    /// Families that are not drawn though the study is after them, and why.
    pub not_shown: Vec<(&'static str, String)>,
    /// Families that the study is not after.
    pub not_asked: Vec<&'static str>,
    /// What else could be the cause.
    pub confounders: Vec<Confounder>,
    /// Columns' names, then a row for each cell.
    pub cells: Vec<Vec<String>>,
    /// Runs whose numbers stopped being finite.
    pub divergences: Vec<String>,
    /// Runs that are not there.
    pub missing: Vec<String>,
}

impl<'a> Content<'a> {
    /// Draws and says all of it.
    ///
    /// # Errors
    /// If the recipe wants a figure that does not exist.
    pub fn of(tables: &'a Tables) -> Result<Self, ReportError> {
        let view = View::new(tables);
        let (mut figures, mut not_shown, mut not_asked) = (Vec::new(), Vec::new(), Vec::new());
        for (name, draw) in wanted(&tables.study.figures)? {
            if !asked(&view, name) {
                not_asked.push(name);
                continue;
            }
            match draw(&view) {
                Ok(drawn) => figures.extend(drawn.into_iter().map(finished)),
                Err(reason) => not_shown.push((name, reason)),
            }
        }
        Ok(Self {
            tables,
            warnings: warnings(tables),
            figures,
            not_shown,
            not_asked,
            confounders: confounders(&view),
            cells: cells(&view),
            divergences: divergences(&view),
            missing: missing(&view),
        })
    }

    /// The title, or a word for it.
    pub fn title(&self) -> &str {
        if self.tables.study.title.is_empty() { "A study" } else { &self.tables.study.title }
    }
}

/// Families in the order that the recipe wants; all if it says none.
fn wanted(names: &[String]) -> Result<Vec<(&'static str, super::figures::Draw)>, ReportError> {
    if names.is_empty() {
        return Ok(FAMILIES.to_vec());
    }
    let find = |name: &String| {
        FAMILIES.iter().find(|family| family.0 == name).copied().ok_or_else(|| {
            let there: Vec<String> = FAMILIES.iter().map(|family| family.0.into()).collect();
            let shown: String = name.chars().take(40).collect();
            let problem = format!("no figure is called {shown:?}: there are {}", list(&there));
            ReportError::Content { place: "study.json: figures".into(), problem }
        })
    };
    names.iter().map(find).collect()
}

/// A figure with no more series than can be told apart, and a name that can be a file's: what a study calls its parts
/// must not lead elsewhere.
fn finished(mut figure: Figure) -> Figure {
    figure.name = figure.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    if let Picture::Plot(plot) = &mut figure.picture {
        figure.caption += &plot.legible();
    }
    figure
}

fn warnings(tables: &Tables) -> Vec<String> {
    let mut warnings = Vec::new();
    let kinds = kinds(tables);
    if kinds.len() > 1 {
        let told = |(kind, runs): (&u64, &usize)| {
            let text = tables.study.fingerprints.get(*kind as usize).map_or("unknown", String::as_str);
            format!("{runs} of \"{text}\"")
        };
        let told: Vec<String> = kinds.iter().map(told).collect();
        warnings.push(format!(
            "Mixed fingerprints: runs are {}. They may differ by more than batch and seed; `lockstep study run` on one kind of \
             machine and build, in a new folder, makes them alike.",
            list(&told)
        ));
    }
    let (done, of) = (tables.study.done, tables.study.of);
    if done < of {
        warnings.push(format!(
            "The study is not finished: {} of {} jobs have ended, and figures are of these. `lockstep study run` goes on.",
            whole(done),
            whole(of)
        ));
    }
    warnings.extend(probes(tables));
    for table in &tables.absent {
        warnings.push(format!(
            "tables/{table} is missing: what depends on it is not shown. `lockstep study run` writes it."
        ));
    }
    warnings
}

/// Probes of one measure that are not alike, or are left out.
fn probes(tables: &Tables) -> Vec<String> {
    let quoted = |names: &BTreeSet<String>| list(&names.iter().map(|name| format!("“{name}”")).collect::<Vec<_>>());
    let differ = tables.probes.taken.iter().filter(|(_, names)| names.len() > 1).map(|(measure, names)| {
        format!("Runs measure `{measure}` by different probes: {}. They are shown beside each other.", quoted(names))
    });
    let left_out = tables.probes.left_out.iter().map(|(measure, names)| {
        let (taken, names) = (quoted(&tables.probes.taken[measure]), quoted(names));
        format!(
            "Of a run's probes of `{measure}` the first is shown ({taken}); others are in tables/probes.csv: {names}."
        )
    });
    differ.chain(left_out).collect()
}

fn cells(view: &View<'_>) -> Vec<Vec<String>> {
    let head = [
        "cell",
        "arm",
        "batch",
        "micro-batch",
        "rate",
        "budget",
        "η",
        "interior",
        "runs",
        "test error (%)",
        "validation error (%)",
        "training loss",
        "remark",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let shown = |interval: Option<Interval>| interval.map_or("–".into(), |interval| with_interval(&interval));
    for cell in view.cells() {
        let of = |figure: fn(&super::tables::Job) -> Option<f64>, factor: f64| {
            let values: Vec<f64> = view.values(cell, figure).into_values().map(|value| factor * value).collect();
            shown(mean_interval(&values))
        };
        let ended = view.runs(cell).count();
        let diverged = view.runs(cell).filter(|(_, job)| job.diverged).count();
        rows.push(vec![
            cell.cell.clone(),
            cell.arm.clone(),
            whole(cell.batch),
            whole(cell.micro_batch),
            rate_words(&cell.rate),
            cell.budget.clone(),
            cell.learning_rate.map_or("–".into(), number),
            cell.interior.map_or("–", |interior| if interior { "yes" } else { "NO" }).into(),
            if diverged > 0 { format!("{ended}, {diverged} diverged") } else { ended.to_string() },
            of(|job| job.test_error, 100.0),
            of(|job| job.validation_error, 100.0),
            of(|job| job.train_loss, 1.0),
            cell.remark.clone(),
        ]);
    }
    // A column that says nothing is left out.
    let says = |column: usize| rows[1..].iter().any(|row| !row[column].is_empty() && row[column] != "–");
    let kept: Vec<usize> = (0..head.len()).filter(|column| says(*column)).collect();
    rows.iter().map(|row| kept.iter().map(|column| row[*column].clone()).collect()).collect()
}

fn named(view: &View<'_>, cell: &Cell) -> String {
    format!("{} ({})", cell.cell, view.label(cell))
}

fn divergences(view: &View<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for cell in view.cells() {
        for (seed, job) in view.runs(cell).filter(|(_, job)| job.diverged) {
            let steps = job.steps.map_or(String::new(), |steps| format!(" after {} steps", whole(steps as u64)));
            lines.push(format!("{}, seed {seed}: diverged{steps} (runs/{})", named(view, cell), job.job));
        }
    }
    lines
}

fn missing(view: &View<'_>) -> Vec<String> {
    let seeds = view.seeds();
    let mut lines = Vec::new();
    for cell in view.cells() {
        let there: Vec<u64> = view.runs(cell).map(|(seed, _)| seed).collect();
        let lost: Vec<String> = seeds.iter().filter(|seed| !there.contains(seed)).map(u64::to_string).collect();
        let word = if lost.len() == 1 { "seed" } else { "seeds" };
        if there.is_empty() {
            lines.push(format!("{}: no run has ended", named(view, cell)));
        } else if !lost.is_empty() {
            lines.push(format!("{}: {word} {} not ended", named(view, cell), list(&lost)));
        }
    }
    lines
}
