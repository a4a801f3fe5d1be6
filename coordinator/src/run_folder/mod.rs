//! A job's run folder: `job.toml`, `run.json`, `metrics.jsonl`, `ledger.json`, `curves.svg`, `summary.json`, `final/`,
//! and, unless the job has another place for them, `checkpoints/`.

pub mod atomic;
mod axis;
mod curves;
mod files;
mod fork;
mod metrics;
mod noise;
mod plot;
mod series;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

pub use axis::Axis;
pub use files::{Upload, UploadError, hex, list, safe_path};
pub use fork::ForkedFrom;
pub use metrics::LONGEST_LINE;
pub use plot::{Line, Panel, Plot, Role};

use crate::cluster::facts::Report;
use crate::cluster::record::{GenerationRecord, RunRecord, Summary};
use lockstep_proto::ledger::Ledger;
use metrics::Metrics;
use noise::{NoiseSummary, RunNoise};
use series::Curves;

/// Why a run folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// Something is in it.
    #[error("run folder {} is not empty: choose another", .0.display())]
    NotEmpty(PathBuf),
    /// The file system says no.
    #[error("run folder {}: {cause}: choose another", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What happened.
        cause: io::Error,
    },
}

/// An open run folder.
pub struct RunFolder {
    path: PathBuf,
    metrics: Metrics,
    curves: Curves,
    noise: RunNoise,
}

impl RunFolderError {
    /// Whether there may be room later.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { cause, .. } => {
                matches!(
                    cause.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
                )
            }
            Self::NotEmpty(_) => false,
        }
    }
}

impl RunFolder {
    /// Refuses a folder that has something in it; writes nothing.
    pub fn check(path: &Path) -> Result<(), RunFolderError> {
        match std::fs::read_dir(path) {
            Ok(mut entries) => match entries.next() {
                Some(_) => Err(RunFolderError::NotEmpty(path.to_owned())),
                None => Ok(()),
            },
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(RunFolderError::Io { path: path.to_owned(), cause }),
        }
    }

    /// Makes the folder with its `job.toml` and an empty `metrics.jsonl`.
    pub fn create(path: &Path, toml: &str) -> Result<Self, RunFolderError> {
        Self::check(path)?;
        let failed = |cause| RunFolderError::Io { path: path.to_owned(), cause };
        std::fs::create_dir_all(path).map_err(failed)?;
        atomic::write(&path.join("job.toml"), toml.as_bytes()).map_err(failed)?;
        Self::open(path)
    }

    /// Opens a run's folder, to go on with it: one that this coordinator made, or that another left. What is missing
    /// of it is made.
    pub fn go_on(path: &Path, toml: &str) -> Result<Self, RunFolderError> {
        if !path.join("job.toml").is_file() {
            Self::check(path)?;
        }
        let failed = |cause| RunFolderError::Io { path: path.to_owned(), cause };
        std::fs::create_dir_all(path).map_err(failed)?;
        atomic::write(&path.join("job.toml"), toml.as_bytes()).map_err(failed)?;
        for left in ["summary.json"] {
            match std::fs::remove_file(path.join(left)) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(failed(cause)),
                Ok(()) | Err(_) => {}
            }
        }
        Self::open(path)
    }

    /// Opens a folder that this coordinator made, to go on.
    pub fn open(path: &Path) -> Result<Self, RunFolderError> {
        let failed = |cause| RunFolderError::Io { path: path.to_owned(), cause };
        let (mut curves, mut noise) = (Curves::default(), RunNoise::default());
        let each = |report: &Report| {
            curves.add(report);
            noise.add(report);
        };
        let metrics = Metrics::open(&path.join("metrics.jsonl"), each).map_err(failed)?;
        atomic::sync_folder(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), metrics, curves, noise })
    }

    /// The evaluations and the newest step that `metrics.jsonl` tells of; changes nothing.
    pub fn measured(path: &Path) -> Vec<Report> {
        let (mut newest, mut measured) = (None, Vec::new());
        let read = metrics::read(&path.join("metrics.jsonl"), |report| match report {
            Report::Step(_) => newest = Some(report),
            Report::Evaluation(_) => measured.push(report),
            Report::Probe(_) => {}
        });
        if let Err(cause) = read {
            tracing::warn!("{}: {cause}", path.display());
        }
        measured.extend(newest);
        measured
    }

    /// Titles of the probes that `metrics.jsonl` tells of; changes nothing.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn probed(path: &Path) -> Result<BTreeSet<String>, RunFolderError> {
        let mut titles = BTreeSet::new();
        let read = metrics::read(&path.join("metrics.jsonl"), |report| {
            if let Report::Probe(report) = report {
                titles.insert(report.probe);
            }
        });
        read.map_err(|cause| RunFolderError::Io { path: path.to_owned(), cause })?;
        Ok(titles)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Memberships that `run.json` tells of; none if there is no such file or it says something else.
    pub fn history(path: &Path) -> Vec<GenerationRecord> {
        #[derive(serde::Deserialize)]
        struct Run {
            generations: Vec<GenerationRecord>,
        }
        let text = std::fs::read(path.join("run.json")).unwrap_or_default();
        serde_json::from_slice(&text).map_or_else(|_| Vec::new(), |run: Run| run.generations)
    }

    /// Writes `run.json`. Memberships of which only the file there knows stay in it, and what it says of a fork.
    pub fn write_run(&self, run: &RunRecord) -> Result<(), RunFolderError> {
        let first = run.generations.first().map_or(u64::MAX, |oldest| oldest.number);
        let mut generations = Self::history(&self.path);
        generations.retain(|known| known.number < first);
        if generations.is_empty() {
            return self.write_record("run.json", run);
        }
        generations.extend(run.generations.iter().cloned());
        self.write_record("run.json", &RunRecord { generations, ..run.clone() })
    }

    /// Adds lines to `metrics.jsonl`, but for those that it has; an evaluation renews `curves.svg`.
    pub fn append(&mut self, reports: &[Report]) -> Result<(), RunFolderError> {
        if reports.is_empty() {
            return Ok(());
        }
        let new =
            self.metrics.append(reports).map_err(|cause| RunFolderError::Io { path: self.path.clone(), cause })?;
        for report in &new {
            self.curves.add(report);
            self.noise.add(report);
        }
        if new.iter().any(|report| matches!(report, Report::Evaluation(_))) {
            self.write_curves()?;
        }
        Ok(())
    }

    /// Drops lines of steps above this one from `metrics.jsonl`: they are committed anew.
    pub fn void_above(&mut self, step: u64) -> Result<(), RunFolderError> {
        let (mut curves, mut noise) = (Curves::default(), RunNoise::default());
        let each = |report: &Report| {
            curves.add(report);
            noise.add(report);
        };
        let voided = self.metrics.void_above(step, each);
        voided.map_err(|cause| RunFolderError::Io { path: self.path.clone(), cause })?;
        (self.curves, self.noise) = (curves, noise);
        Ok(())
    }

    /// Writes `ledger.json`.
    pub fn write_ledger(&self, ledger: &Ledger, train_samples: u64) -> Result<(), RunFolderError> {
        self.write_json("ledger.json", &serde_json::json!({ "train_samples": train_samples, "rows": ledger }))
    }

    /// Writes `curves.svg` and `summary.json`: the run is over.
    pub fn close(&self, summary: &Summary) -> Result<(), RunFolderError> {
        #[derive(serde::Serialize)]
        struct Closed<'a> {
            #[serde(flatten)]
            summary: &'a Summary,
            noise: Option<NoiseSummary<'a>>,
        }
        self.write_curves()?;
        self.write_record("summary.json", &Closed { summary, noise: self.noise.summary() })
    }

    fn write_curves(&self) -> Result<(), RunFolderError> {
        let svg = curves::draw(&self.curves);
        atomic::write(&self.path.join("curves.svg"), svg.as_bytes()).map_err(|e| self.failed(e))
    }

    /// Writes a record, with what the run was forked from if it was.
    fn write_record<T: serde::Serialize>(&self, name: &str, record: &T) -> Result<(), RunFolderError> {
        #[derive(serde::Serialize)]
        struct File<'a, T> {
            #[serde(flatten)]
            record: &'a T,
            #[serde(skip_serializing_if = "Option::is_none")]
            forked_from: Option<ForkedFrom>,
        }
        self.write_json(name, &File { record, forked_from: Self::forked_from(&self.path) })
    }

    fn write_json<T: serde::Serialize>(&self, name: &str, value: &T) -> Result<(), RunFolderError> {
        let mut text = serde_json::to_vec_pretty(value).map_err(|e| self.failed(e.into()))?;
        text.push(b'\n');
        atomic::write(&self.path.join(name), &text).map_err(|e| self.failed(e))
    }

    fn failed(&self, cause: io::Error) -> RunFolderError {
        RunFolderError::Io { path: self.path.clone(), cause }
    }
}
