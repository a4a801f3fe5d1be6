//! Run folders, as they lie there: nothing in them is trusted. Sizes are bounded, and what is wrong is told with file and
//! line.

mod lines;
mod outcome;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use lines::lines;
pub use outcome::{Fingerprint, Found, dataset, look};

/// Most bytes of a JSON file.
const MOST_JSON: u64 = 16 << 20;

/// A run folder that can't be believed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct RunError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

impl RunError {
    fn new(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// A JSON file, if there is one.
fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, RunError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RunError::new(path, error)),
    };
    let mut text = Vec::new();
    file.take(MOST_JSON + 1).read_to_end(&mut text).map_err(|error| RunError::new(path, error))?;
    if text.len() as u64 > MOST_JSON {
        return Err(RunError::new(path, format!("is larger than {MOST_JSON} bytes")));
    }
    serde_json::from_slice(&text).map(Some).map_err(|error| RunError::new(path, error))
}
