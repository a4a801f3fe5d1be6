//! The folder that a run goes to: chosen, and refused where it would mix with something else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lockstep_proto::job::Job;
use time::OffsetDateTime;

use crate::BadInput;

/// Files that every run has from its start: a folder with both is a run's, and so may be replaced.
const MARKS: [&str; 2] = ["job.toml", "metrics.jsonl"];

/// The run folder for `--out`, or `runs/<name>-<time>`: absolute, and empty or absent.
///
/// # Errors
/// If it is not empty, or with `overwrite`, if what it holds is no run.
pub fn prepare(out: Option<&Path>, name: &str, overwrite: bool) -> Result<PathBuf> {
    let folder = match out {
        Some(out) => out.to_owned(),
        None => default_folder(name, OffsetDateTime::now_utc()),
    };
    let folder = std::path::absolute(&folder).with_context(|| format!("run folder {}", folder.display()))?;
    if is_empty(&folder)? {
        return Ok(folder);
    }
    let shown = folder.display();
    if !overwrite {
        let reason = format!("run folder {shown} is not empty: add --overwrite, or choose another --out");
        return Err(BadInput(reason).into());
    }
    if let Some(missing) = MARKS.iter().find(|mark| !folder.join(mark).is_file()) {
        let reason = format!("{shown} is not empty and holds no run ({missing} is missing): choose another --out");
        return Err(BadInput(reason).into());
    }
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {shown}"))?;
    Ok(folder)
}

/// A run that is gone on from: its folder, absolute, and its job file.
///
/// # Errors
/// If the folder holds no run.
pub fn of_run(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let folder = std::path::absolute(folder).with_context(|| format!("run folder {}", folder.display()))?;
    match MARKS.iter().find(|mark| !folder.join(mark).is_file()) {
        Some(missing) => Err(BadInput(format!("{} holds no run: {missing} is missing", folder.display())).into()),
        None => Ok((folder.clone(), folder.join("job.toml"))),
    }
}

/// Where a run's checkpoints are.
pub fn checkpoints_of(folder: &Path, job: &Job) -> String {
    match job.checkpoint.dir.as_str() {
        "" => folder.join("checkpoints").display().to_string(),
        dir => dir.to_owned(),
    }
}

fn is_empty(folder: &Path) -> Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(BadInput(format!("run folder {}: {error}: choose another --out", folder.display())).into()),
    }
}

/// Where a run of this name goes without `--out`: `runs/<name>-2026-11-24-153000`, in UTC.
fn default_folder(name: &str, now: OffsetDateTime) -> PathBuf {
    let (date, time) = (now.date(), now.time());
    let date = format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day());
    let time = format!("{:02}{:02}{:02}", time.hour(), time.minute(), time.second());
    Path::new("runs").join(format!("{name}-{date}-{time}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_by_recipe_and_time() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_534_200).unwrap();
        assert_eq!(default_folder("mnist-mlp", now), Path::new("runs/mnist-mlp-2026-11-24-153000"));
    }

    #[test]
    fn only_runs_are_overwritten() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("run");
        assert_eq!(prepare(Some(&folder), "x", false).unwrap(), folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("thesis.tex"), "years of work").unwrap();
        assert!(prepare(Some(&folder), "x", false).unwrap_err().to_string().contains("--overwrite"));
        assert!(prepare(Some(&folder), "x", true).unwrap_err().to_string().contains("holds no run"));
        assert!(folder.join("thesis.tex").exists());
        std::fs::write(folder.join("job.toml"), "").unwrap();
        assert!(prepare(Some(&folder), "x", true).unwrap_err().to_string().contains("metrics.jsonl is missing"));
        std::fs::write(folder.join("metrics.jsonl"), "").unwrap();
        prepare(Some(&folder), "x", true).unwrap();
        assert!(!folder.exists());
    }
}
