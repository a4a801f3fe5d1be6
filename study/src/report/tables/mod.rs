//! A study's folder, read and checked: `study.json` and what lies in `tables/`.

mod csv;
mod rows;
mod study_json;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use rows::{Evaluation, Job, Noise, Over, ProbeValues, Probes, Trial};
pub use study_json::{Cell, StudyJson};

use self::csv::Table;
use super::ReportError;

/// All that a report is made of.
#[derive(Debug, Default)]
pub struct Tables {
    /// What the study is.
    pub study: StudyJson,
    /// Runs; those of cells that are not the study's are refused.
    pub jobs: Vec<Job>,
    /// Learning rates that were tried.
    pub trials: Vec<Trial>,
    /// By job.
    pub noise: BTreeMap<String, Vec<Noise>>,
    /// By job.
    pub evaluations: BTreeMap<String, Vec<Evaluation>>,
    /// By job.
    pub probes: Probes,
    /// Tables that are not there.
    pub absent: BTreeSet<&'static str>,
    /// What `[tuning] by` says in the recipe, if it can be read.
    pub tuned_by: Option<String>,
}

impl Tables {
    /// Reads a study's folder.
    ///
    /// # Errors
    /// If it is no study's, or a file there is not what it should be.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let study = StudyJson::read(folder)?;
        let mut tables = Self { tuned_by: tuned_by(folder), study, ..Self::default() };
        tables.jobs = tables.table(folder, "jobs.csv", rows::jobs)?;
        tables.trials = tables.table(folder, "tuning.csv", rows::trials)?;
        tables.noise = tables.table(folder, "steps.csv", rows::noise)?;
        tables.evaluations = tables.table(folder, "evaluations.csv", rows::evaluations)?;
        tables.probes = tables.table(folder, "probes.csv", rows::probes)?;
        tables.check()?;
        Ok(tables)
    }

    fn table<T: Default>(
        &mut self,
        folder: &Path,
        name: &'static str,
        rows: fn(&Table) -> Result<T, ReportError>,
    ) -> Result<T, ReportError> {
        match Table::read(&folder.join("tables").join(name), &format!("tables/{name}"))? {
            Some(table) => rows(&table),
            None => {
                self.absent.insert(name);
                Ok(T::default())
            }
        }
    }

    /// Cells exist, once each, and no run is of another.
    fn check(&self) -> Result<(), ReportError> {
        let mut cells = BTreeSet::new();
        for cell in &self.study.cells {
            if !cells.insert(cell.cell.as_str()) {
                return Err(content("study.json", format!("two cells are called {:?}", cell.cell)));
            }
            if cell.batch == 0 || cell.learning_rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
                let problem = format!("cell {:?}: batch and learning rate must be above 0", cell.cell);
                return Err(content("study.json", problem));
            }
        }
        let mut runs = BTreeSet::new();
        for job in &self.jobs {
            if !cells.contains(job.cell.as_str()) {
                let problem = format!("job {:?} is of cell {:?}, which study.json does not have", job.job, job.cell);
                return Err(content("tables/jobs.csv", problem));
            }
            if !runs.insert((&job.cell, job.seed, job.fingerprint)) {
                let problem = format!("cell {:?} has seed {} twice with the same fingerprint", job.cell, job.seed);
                return Err(content("tables/jobs.csv", problem));
            }
        }
        Ok(())
    }
}

/// What learning rates were chosen by. Only a word beside an axis: a recipe that can't be read takes nothing away.
fn tuned_by(folder: &Path) -> Option<String> {
    let recipe: toml::Table = std::fs::read_to_string(folder.join("study.toml")).ok()?.parse().ok()?;
    Some(recipe.get("tuning")?.get("by").map_or("validation_loss", |by| by.as_str().unwrap_or("score")).into())
}

fn content(place: &str, problem: String) -> ReportError {
    ReportError::Content { place: place.into(), problem }
}
