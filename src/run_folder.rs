//! The folder that a run goes to: chosen, and refused where it would mix with something else.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

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
        None => crate::train::default_folder(name, std::time::SystemTime::now()),
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

fn is_empty(folder: &Path) -> Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(BadInput(format!("run folder {}: {error}: choose another --out", folder.display())).into()),
    }
}

/// `2026-11-24-153000` (UTC) for seconds since 1970.
pub fn time_stamp(seconds: u64) -> String {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}-{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar, by counting whole cycles of years that
/// start in March, so that the leap day comes last.
fn civil(day: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let from_march_0000 = day + 719_468;
    let (cycle, day) = (from_march_0000 / DAYS_OF_400_YEARS, from_march_0000 % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / (DAYS_OF_400_YEARS - 1)) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(time_stamp(0), "1970-01-01-000000");
        assert_eq!(time_stamp(951_782_399), "2000-02-28-235959");
        assert_eq!(time_stamp(951_782_400), "2000-02-29-000000");
        assert_eq!(time_stamp(1_795_534_200), "2026-11-24-153000");
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
