//! A study's folder on disk: whose it is, who works in it, and what of its runs can be used.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lockstep_study::plan::{Planner, Survey};
use lockstep_study::table::{self, Change, StudyFolder, StudyState};
use rustix::fs::FlockOperation;

use super::shelf::Shelf;
use crate::BadInput;

/// The folder while this process works in it.
pub struct OpenFolder {
    /// Its files.
    pub files: StudyFolder,
    /// Held until the process ends.
    _lock: File,
}

impl OpenFolder {
    /// Opens or makes a folder; nobody else may work in it.
    ///
    /// # Errors
    /// If it holds something else, or another process works in it.
    pub fn open(path: &Path) -> Result<Self> {
        let files = of(path)?;
        let shown = files.0.display().to_string();
        std::fs::create_dir_all(files.0.join("runs"))
            .map_err(|error| BadInput(format!("study folder {shown}: {error}: choose another --out")))?;
        let lock = File::create(files.0.join(".lock")).with_context(|| format!("study folder {shown}"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { files, _lock: lock }),
            Err(_) => Err(BadInput(format!("study folder {shown}: another `study run` works in it")).into()),
        }
    }

    /// Writes tables and state, as far as all is known.
    ///
    /// # Errors
    /// Of the file system, or a run that can't be read.
    pub fn write(&self, planner: &mut Planner, survey: &Survey, shelf: &Shelf) -> Result<()> {
        table::write(&self.files, planner, survey, shelf.known())?;
        let state = StudyState::of(planner, survey, shelf.known(), shelf.own());
        state.write(&self.files.state()).with_context(|| self.files.state().display().to_string())
    }
}

/// A folder that is a study's, or may become one.
///
/// # Errors
/// If something else is in it.
pub fn of(path: &Path) -> Result<StudyFolder> {
    let path = std::path::absolute(path).with_context(|| format!("study folder {}", path.display()))?;
    let files = StudyFolder(path);
    let entries = match std::fs::read_dir(&files.0) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => {
            let shown = files.0.display();
            return Err(BadInput(format!("study folder {shown}: {error}: choose another --out")).into());
        }
    };
    let holds_something = entries
        .flatten()
        .any(|entry| !matches!(entry.file_name().to_str(), Some(".lock" | ".data" | ".pulled" | "runs")));
    if holds_something && !files.state().is_file() {
        let shown = files.0.display();
        return Err(BadInput(format!("{shown} is not empty and holds no study: choose another --out")).into());
    }
    Ok(files)
}

/// Refuses a folder that was begun with another recipe, unless the user knows.
///
/// # Errors
/// What differs, in how many runs, and what to do.
pub fn check_recipe(files: &StudyFolder, planner: &mut Planner, known_to_user: bool) -> Result<()> {
    let Some(change) = table::change(&files.state(), planner).map_err(BadInput)? else { return Ok(()) };
    if known_to_user {
        return Ok(());
    }
    let Change { gone, new, kept, keys } = change;
    let what = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join("; ")) };
    let shown = files.0.display();
    let tunes = planner.grid().cells.iter().any(|cell| cell.tuning.is_some());
    let counted = if tunes { ", not counting those that follow from tuning" } else { "" };
    Err(BadInput(format!(
        "{shown} was begun with another recipe{what}: {gone} of its runs are not in this one, which has {new} new \
         ones{counted}; choose another --out, or add --changed to go on with the {kept} that both have"
    ))
    .into())
}

/// Where a study goes without `--out`.
pub fn default_folder(name: &str) -> PathBuf {
    Path::new("studies").join(name)
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// Which could not be emptied, and why.
pub fn remove(folder: &Path) -> Result<()> {
    remove_folder(folder).with_context(|| format!("cannot empty {}", folder.display()))
}

/// The same; of an error, the cause alone.
///
/// # Errors
/// Of the file system.
pub fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
