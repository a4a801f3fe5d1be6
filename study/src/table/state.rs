//! `study.json`: what a study is and how far it is; and whether a recipe is still that of its folder.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Descent, fingerprints};
use crate::atomic;
use crate::grid::{Cell, Grid};
use crate::plan::{Known, Planner, Standing, Survey};

/// Keys of a job that are named where recipes differ.
const NAMED: usize = 4;
/// Characters of a value that is shown there.
const LONGEST_VALUE: usize = 60;

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
    /// The study's own, where it is known.
    fingerprint: Option<String>,
    fingerprints: Vec<String>,
    cells: Vec<CellState>,
    done: usize,
    of: usize,
    /// Of all that decides which runs there are, by which a changed recipe is found.
    plan: String,
    /// What decides that, in the recipe's words, to say what has changed.
    recipe: Value,
    /// Keys of the runs that are known before any is trained.
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
    /// As far as it is known. `own`: the fingerprint that the study's runs should have.
    pub fn of(planner: &mut Planner, survey: &Survey, known: &Known, own: Option<&str>) -> Self {
        let (plan, planned) = (plan(planner), planned(planner));
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
            fingerprint: own.map(str::to_owned),
            fingerprints: fingerprints(survey, known),
            cells: grid.cells.iter().zip(&survey.cells).map(CellState::of).collect(),
            done: keys.iter().filter(|key| known.contains_key(**key)).count(),
            of: keys.len() + survey.later,
            plan,
            recipe: recipe(grid),
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
        atomic::write(path, &text)
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

/// Keys of all runs that are known before any is trained.
fn planned(planner: &mut Planner) -> Vec<String> {
    planner.survey(&Known::new()).tasks.into_iter().map(|task| task.key).collect()
}

/// A hash of all that decides which runs there are and how they are grouped: seeds, tuning, and of each cell what it is
/// called, its job, and where its learning rate comes from.
fn plan(planner: &mut Planner) -> String {
    let recipe = &planner.grid().file.recipe;
    let mut text = format!("seeds {}\n{:?}\n", recipe.study.seeds, recipe.tuning);
    for place in 0..planner.grid().cells.len() {
        // The learning rate is another part of a cell.
        let jobs = [false, true].map(|tunes| planner.task(place, 1.0, 1, tunes).key);
        let Cell { arm, batch, rule, rate, budget, .. } = &planner.grid().cells[place];
        text += &format!("{arm:?} {batch} {} {} {rate:?} {jobs:?}\n", rule.as_str(), budget.as_str());
    }
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// What the recipe says beside the base job, as far as it decides; arms by their names. No places.
fn recipe(grid: &Grid) -> Value {
    let text: toml::Table = grid.file.text.parse().unwrap_or_default();
    let mut said = serde_json::to_value(text).unwrap_or_default();
    let mut part = |name: &str| said.get_mut(name).map(Value::take).unwrap_or(Value::Null);
    let mut arms = Map::new();
    if let Value::Array(of_recipe) = part("arm") {
        for mut arm in of_recipe {
            if let Some(set) = arm.get_mut("set").and_then(Value::as_object_mut) {
                ["cluster", "checkpoint"].into_iter().for_each(|table| drop(set.remove(table)));
                for (table, key) in [("data", "path"), ("model", "init_from")] {
                    set.get_mut(table).and_then(Value::as_object_mut).map(|keys| keys.remove(key));
                }
            }
            let name = arm["name"].as_str().unwrap_or_default().to_owned();
            arms.insert(name, arm);
        }
    }
    let datasets: BTreeSet<&str> = grid.cells.iter().map(|cell| cell.facts.dataset.as_str()).collect();
    json!({
        "study": { "seeds": grid.file.recipe.study.seeds },
        "dataset": datasets,
        "samples": part("samples"),
        "rate": part("rate"),
        "tuning": part("tuning"),
        "budget": part("budget"),
        "arm": arms,
    })
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
    /// Keys of base job and recipe that differ, the first few, with both values.
    pub keys: Vec<String>,
}

/// Compares a recipe with the `study.json` of a folder; nothing if it is the same study, or there is no such file. Runs are
/// counted that are known before any is trained: which others there are is decided by those.
///
/// # Errors
/// In words, if the file is there and can't be read.
pub fn change(path: &Path, planner: &mut Planner) -> Result<Option<Change>, String> {
    #[derive(Deserialize)]
    struct Before {
        job: Value,
        planned: Vec<String>,
        // Absent where an earlier version wrote it, which can't be known to be the same.
        #[serde(default)]
        plan: String,
        #[serde(default)]
        recipe: Value,
    }
    let Some(before) = read::<Before>(path)? else { return Ok(None) };
    if before.plan == plan(planner) {
        return Ok(None);
    }
    let before_keys: BTreeSet<String> = before.planned.into_iter().collect();
    let now: BTreeSet<String> = planned(planner).into_iter().collect();
    let mut differ = Vec::new();
    differences("", Some(&before.job), Some(&base_without_places(planner.grid())), &mut differ);
    if !before.plan.is_empty() {
        differences("", Some(&before.recipe), Some(&recipe(planner.grid())), &mut differ);
    }
    differ.truncate(NAMED);
    Ok(Some(Change {
        gone: before_keys.difference(&now).count(),
        new: now.difference(&before_keys).count(),
        kept: now.intersection(&before_keys).count(),
        keys: differ,
    }))
}

/// The study's own fingerprint by the `study.json` of a folder; nothing where none is said, or there is no such file.
///
/// # Errors
/// In words, if the file is there and can't be read.
pub fn own_fingerprint(path: &Path) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Before {
        #[serde(default)]
        fingerprint: Option<String>,
    }
    Ok(read::<Before>(path)?.and_then(|before| before.fingerprint))
}

/// A part of a `study.json`, if there is one.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let read = serde_json::from_slice(&text);
    read.map(Some).map_err(|error| format!("{}: {error}: choose another --out", path.display()))
}

/// Leaves that differ, as `key is a there, b here`.
fn differences(key: &str, before: Option<&Value>, now: Option<&Value>, out: &mut Vec<String>) {
    match (before, now) {
        (Some(Value::Object(before)), Some(Value::Object(now))) => {
            let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            for name in names {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                differences(&key, before.get(name), now.get(name), out);
            }
        }
        (before, now) if before == now => {}
        (before, now) => {
            let shown = |side: Option<&Value>| match side {
                None | Some(Value::Null) => "not set".to_owned(),
                Some(value) => shown(value),
            };
            out.push(format!("{key} is {} there, {} here", shown(before), shown(now)));
        }
    }
}

/// A value on a line, not too much of it.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut short: String = text.chars().take(LONGEST_VALUE).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
