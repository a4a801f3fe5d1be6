//! `study.json`: what a study is and how far it is; and whether a recipe is still that of its folder.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Descent, fingerprints};
use crate::grid::{Cell, Grid};
use crate::plan::{Known, Planner, Standing, Survey};

/// Keys of a job that are named where recipes differ.
const NAMED: usize = 4;

/// Content of `study.json`.
#[derive(Clone, Debug, Serialize)]
pub struct StudyState {
    title: String,
    question: String,
    prediction: String,
    refuted_by: String,
    figures: Vec<String>,
    recipe_blake3: String,
    /// The base job.
    job: Value,
    fingerprints: Vec<String>,
    cells: Vec<CellState>,
    done: usize,
    of: usize,
    /// Keys of the runs that are known from the start, by which a changed recipe is found.
    planned: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct CellState {
    cell: String,
    arm: String,
    batch: u32,
    micro_batch: u32,
    rate: String,
    budget: String,
    learning_rate: Option<f64>,
    interior: Option<bool>,
    train_samples: u64,
    validation_samples: u64,
    descent: Descent,
    remark: String,
}

impl StudyState {
    /// As far as it is known.
    pub fn of(planner: &mut Planner, survey: &Survey, known: &Known) -> Self {
        let planned = planned(planner);
        let grid = planner.grid();
        let study = &grid.file.recipe.study;
        let keys: BTreeSet<&str> = survey.tasks.iter().map(|task| task.key.as_str()).collect();
        Self {
            title: study.title.clone(),
            question: study.question.clone(),
            prediction: study.prediction.clone(),
            refuted_by: study.refuted_by.clone(),
            figures: study.figures.clone(),
            recipe_blake3: blake3::hash(grid.file.text.as_bytes()).to_hex().to_string(),
            job: base_without_places(grid),
            fingerprints: fingerprints(survey, known),
            cells: grid.cells.iter().zip(&survey.cells).map(CellState::of).collect(),
            done: keys.iter().filter(|key| known.contains_key(**key)).count(),
            of: keys.len() + survey.later,
            planned,
        }
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let temporary = path.with_extension("json.part");
        std::fs::write(&temporary, text)?;
        std::fs::rename(temporary, path)
    }
}

impl CellState {
    fn of((cell, standing): (&Cell, &Standing)) -> Self {
        Self {
            cell: cell.id.clone(),
            arm: cell.arm.clone(),
            batch: cell.batch,
            micro_batch: cell.job.batch.micro_batch,
            rate: cell.rule.as_str().to_owned(),
            budget: cell.budget.as_str().to_owned(),
            learning_rate: standing.learning_rate,
            interior: standing.interior,
            train_samples: cell.facts.train_samples,
            validation_samples: cell.facts.validation_samples,
            descent: Descent::of(&cell.job),
            remark: standing.remark.clone(),
        }
    }
}

/// The base job, but for where it runs, which must not show.
fn base_without_places(grid: &Grid) -> Value {
    let mut job = serde_json::to_value(&grid.base).unwrap_or_default();
    if let Some(tables) = job.as_object_mut() {
        tables.remove("cluster");
        tables.remove("checkpoint");
        if let Some(data) = tables.get_mut("data").and_then(Value::as_object_mut) {
            data.remove("path");
        }
    }
    job
}

/// Keys of all runs that are known from the start; of cells that are tuned or scaled, with a learning rate of 1.
fn planned(planner: &mut Planner) -> Vec<String> {
    let nothing = Known::new();
    let survey = planner.survey(&nothing);
    let mut keys: Vec<String> = survey.tasks.iter().map(|task| task.key.clone()).collect();
    let seeds = planner.grid().file.recipe.study.seeds;
    for place in (0..survey.cells.len()).filter(|place| survey.cells[*place].learning_rate.is_none()) {
        keys.extend((1..=seeds).map(|seed| planner.task(place, 1.0, seed, false).key));
    }
    keys
}

/// How a recipe differs from the one that a folder is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Runs that the folder's recipe has and this has not.
    pub gone: usize,
    /// Runs that this has and the folder's has not.
    pub new: usize,
    /// Runs that both have.
    pub kept: usize,
    /// Keys of the base job that differ, the first few, with both values.
    pub keys: Vec<String>,
}

/// Compares a recipe with the `study.json` of a folder; nothing if all runs are the same, or there is no such file.
///
/// # Errors
/// In words, if the file is there and can't be read.
pub fn change(path: &Path, planner: &mut Planner) -> Result<Option<Change>, String> {
    #[derive(Deserialize)]
    struct Before {
        job: Value,
        planned: Vec<String>,
    }
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let before: Before =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}: choose another --out", path.display()))?;
    let before_keys: BTreeSet<String> = before.planned.into_iter().collect();
    let now: BTreeSet<String> = planned(planner).into_iter().collect();
    if before_keys == now {
        return Ok(None);
    }
    let mut differ = Vec::new();
    differences("", &before.job, &base_without_places(planner.grid()), &mut differ);
    differ.truncate(NAMED);
    Ok(Some(Change {
        gone: before_keys.difference(&now).count(),
        new: now.difference(&before_keys).count(),
        kept: now.intersection(&before_keys).count(),
        keys: differ,
    }))
}

/// Leaves that differ, as `key is a there, b here`.
fn differences(key: &str, before: &Value, now: &Value, out: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            let nothing = Value::Object(Map::new());
            for name in names {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                let side = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or_else(|| nothing.clone());
                differences(&key, &side(before), &side(now), out);
            }
        }
        (before, now) if before == now => {}
        (before, now) => out.push(format!("{key} is {before} there, {now} here")),
    }
}
