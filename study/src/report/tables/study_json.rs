//! `study.json`: what a study is, and how far.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::report::ReportError;
use crate::table::Descent;

/// Most bytes that are read of it.
const MOST_BYTES: u64 = 64 << 20;

/// What a study is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StudyJson {
    /// Its name for people.
    pub title: String,
    /// What it asks.
    pub question: String,
    /// What was expected.
    pub prediction: String,
    /// What would have shown the expectation wrong.
    pub refuted_by: String,
    /// Figures that are wanted, in order; empty for all.
    pub figures: Vec<String>,
    /// BLAKE3 of the recipe.
    pub recipe_blake3: String,
    /// The base job.
    pub job: Value,
    /// Fingerprints by number.
    pub fingerprints: Vec<String>,
    /// Cells of the grid, in the recipe's order.
    pub cells: Vec<Cell>,
    /// Jobs that have ended.
    pub done: u64,
    /// Jobs that there are.
    pub of: u64,
}

/// A cell of the grid.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Cell {
    /// Its number, such as `c01`.
    pub cell: String,
    /// The arm it belongs to.
    pub arm: String,
    /// Samples a step.
    pub batch: u64,
    /// Samples a lane.
    pub micro_batch: u64,
    /// The learning rate's rule.
    pub rate: String,
    /// What all runs have the same of: epochs, steps or loss.
    pub budget: String,
    /// The learning rate; none while it is not tuned.
    pub learning_rate: Option<f64>,
    /// Whether the tuned learning rate lies inside of the grid.
    #[serde(default)]
    pub interior: Option<bool>,
    /// Samples that are trained on; none where a study of an earlier version doesn't say.
    #[serde(default)]
    pub train_samples: Option<u64>,
    /// Samples that are held out, alike.
    #[serde(default)]
    pub validation_samples: Option<u64>,
    /// By which rule its weights descend, alike.
    #[serde(default)]
    pub descent: Option<Descent>,
    /// What is to be said of it.
    #[serde(default)]
    pub remark: String,
}

impl StudyJson {
    /// Reads it.
    ///
    /// # Errors
    /// If it isn't there or isn't what it should be.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let path = folder.join("study.json");
        let failed = |source| ReportError::Read { path: path.clone(), source };
        let file = match std::fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ReportError::NoStudy { path, folder: folder.into() });
            }
            file => file.map_err(failed)?,
        };
        let mut text = String::new();
        file.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
        serde_json::from_str(&text).map_err(|error| {
            let place = format!("study.json: line {}, column {}", error.line(), error.column());
            ReportError::Content { place, problem: error.to_string() }
        })
    }

    /// A key of the base job, such as `["optimizer", "momentum"]`.
    pub fn job_key(&self, path: [&str; 2]) -> Option<&Value> {
        self.job.get(path[0])?.get(path[1])
    }
}
