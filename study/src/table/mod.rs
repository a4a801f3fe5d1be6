//! What a study came to, as files: `study.json`, and tables that are the same bytes however many workers a run had. They
//! hold no times and no hosts.

mod descent;
mod file;
mod measured;
mod state;

use std::io;
use std::path::{Path, PathBuf};

use file::Csv;

use crate::csv::Field;
use crate::plan::{Known, Outcome, Planner, Survey, Task, Trial};
use crate::run::RunError;

pub use descent::Descent;
pub use state::{Change, StudyState, change, own_fingerprint};

/// Where a study's files are.
#[derive(Clone, Debug)]
pub struct StudyFolder(pub PathBuf);

impl StudyFolder {
    /// The recipe as it was given.
    pub fn recipe(&self) -> PathBuf {
        self.0.join("study.toml")
    }

    /// What it is and how far.
    pub fn state(&self) -> PathBuf {
        self.0.join("study.json")
    }

    /// Of a run.
    pub fn run(&self, key: &str) -> PathBuf {
        self.0.join("runs").join(key)
    }

    /// Of tables.
    pub fn tables(&self) -> PathBuf {
        self.0.join("tables")
    }
}

/// Why a table is not there.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It can't be written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Of the file system.
        cause: io::Error,
    },
    /// A run can't be believed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Writes all tables of what is known; runs that are not known are left out.
///
/// # Errors
/// The first that can't be written, or a run that can't be read.
pub fn write(folder: &StudyFolder, planner: &mut Planner, survey: &Survey, known: &Known) -> Result<(), TableError> {
    let tables = folder.tables();
    let failed = |cause| TableError::Io { path: tables.clone(), cause };
    std::fs::create_dir_all(&tables).map_err(failed)?;
    let finals: Vec<&Task> = survey.tasks.iter().filter(|task| !task.tunes).collect();
    cells(&tables, planner, survey).map_err(failed)?;
    jobs(&tables, planner, &finals, known).map_err(failed)?;
    tuning(&tables, planner, survey, known).map_err(failed)?;
    measured::write(folder, &tables, &finals, known)
}

/// Fingerprints in the order in which runs of cells have them.
pub fn fingerprints(survey: &Survey, known: &Known) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    let finals = survey.tasks.iter().filter(|task| !task.tunes);
    for outcome in finals.filter_map(|task| known.get(&task.key)) {
        if !seen.contains(&outcome.fingerprint) {
            seen.push(outcome.fingerprint.clone());
        }
    }
    seen
}

fn cells(tables: &Path, planner: &Planner, survey: &Survey) -> io::Result<()> {
    let columns = [
        "cell",
        "arm",
        "batch",
        "micro_batch",
        "rate",
        "budget",
        "learning_rate",
        "interior",
        "train_samples",
        "validation_samples",
        "optimizer",
        "momentum",
        "nesterov",
        "beside",
        "remark",
    ];
    let mut csv = Csv::create(tables, "cells", &columns)?;
    for (cell, standing) in planner.grid().cells.iter().zip(&survey.cells) {
        let descent = Descent::of(&cell.job);
        csv.row(&[
            &cell.id,
            &cell.arm,
            &cell.batch,
            &cell.job.batch.micro_batch,
            &cell.rule.as_str(),
            &cell.budget.as_str(),
            &standing.learning_rate,
            &standing.interior,
            &cell.facts.train_samples,
            &cell.facts.validation_samples,
            &descent.optimizer,
            &descent.momentum,
            &descent.nesterov,
            &descent.beside.join(" "),
            &standing.remark,
        ])?;
    }
    csv.finish()
}

fn jobs(tables: &Path, planner: &Planner, finals: &[&Task], known: &Known) -> io::Result<()> {
    let columns = [
        "job",
        "cell",
        "arm",
        "batch",
        "rate",
        "budget",
        "learning_rate",
        "seed",
        "fingerprint",
        "stop_reason",
        "steps",
        "epochs",
        "samples",
        "steps_to_target",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_error",
        "test_loss",
        "test_error",
        "diverged",
    ];
    let mut csv = Csv::create(tables, "jobs", &columns)?;
    let mut fingerprints: Vec<&str> = Vec::new();
    for task in finals {
        let Some(outcome) = known.get(&task.key) else { continue };
        let cell = &planner.grid().cells[task.cell];
        let fingerprint = fingerprints.iter().position(|seen| *seen == outcome.fingerprint).unwrap_or_else(|| {
            fingerprints.push(&outcome.fingerprint);
            fingerprints.len() - 1
        });
        csv.row(&[
            &task.key,
            &cell.id,
            &cell.arm,
            &cell.batch,
            &cell.rule.as_str(),
            &cell.budget.as_str(),
            &task.learning_rate,
            &task.seed,
            &fingerprint,
            &outcome.stop_reason,
            &outcome.steps,
            &outcome.epochs,
            &outcome.samples,
            &outcome.steps_to_target,
            &outcome.train_loss,
            &outcome.train_accuracy,
            &outcome.validation_loss,
            &outcome.validation_error,
            &outcome.test_loss,
            &outcome.test_error,
            &outcome.diverged(),
        ])?;
    }
    csv.finish()
}

fn tuning(tables: &Path, planner: &mut Planner, survey: &Survey, known: &Known) -> io::Result<()> {
    let columns =
        ["cell", "learning_rate", "seed", "job", "stop_reason", "score", "chosen", "extended", "test_evaluations"];
    let mut csv = Csv::create(tables, "tuning", &columns)?;
    let Some(tuning) = planner.grid().file.recipe.tuning.clone() else { return csv.finish() };
    for (place, standing) in survey.cells.iter().enumerate() {
        for Trial { learning_rate, extended, .. } in standing.trials.iter().copied() {
            for seed in 1..=tuning.seeds {
                let task = planner.task(place, learning_rate, seed, true);
                let Some(outcome) = known.get(&task.key) else { continue };
                let chosen = standing.learning_rate == Some(learning_rate);
                let score: Option<f64> = score(outcome, tuning.by);
                let id = planner.grid().cells[place].id.clone();
                let fields: [&dyn Field; 9] = [
                    &id,
                    &learning_rate,
                    &seed,
                    &task.key,
                    &outcome.stop_reason,
                    &score,
                    &chosen,
                    &extended,
                    &outcome.test_evaluations,
                ];
                csv.row(&fields)?;
            }
        }
    }
    csv.finish()
}

/// What a run's tuning went by; nothing where it diverged, or missed its target.
fn score(outcome: &Outcome, by: crate::recipe::Score) -> Option<f64> {
    match crate::plan::worth(outcome, by) {
        crate::plan::Worth::Reached(score) => Some(score),
        crate::plan::Worth::Short(_) | crate::plan::Worth::Diverged => None,
    }
}
