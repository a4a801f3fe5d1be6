//! Makes records durable, and tells who watches.

use lockstep_proto::identity::{JobId, WorkerId};
use lockstep_proto::wire::{self, watch_event};

use super::{Keeper, view};
use crate::cluster::Command;
use crate::cluster::facts::Report;
use crate::run_folder::{RunFolder, RunFolderError};
use crate::store::{LogRow, StoreError};

/// Why a record is not durable.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
}

impl RecordError {
    /// Whether there may be room later.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Store(error) => error.is_full(),
            Self::RunFolder(error) => error.is_full(),
        }
    }
}

impl Keeper {
    /// Carries a record out; gives the job and the cause where that failed.
    pub(super) fn record(&mut self, command: Command) -> Option<(JobId, RecordError)> {
        let (job, result) = match command {
            Command::CreateRun { record, go_on } => {
                let created = match go_on {
                    true => RunFolder::go_on(&record.run_folder, &record.toml),
                    false => RunFolder::create(&record.run_folder, &record.toml),
                };
                let created = created.map(|run| self.runs.insert(record.job.clone(), run));
                (record.job, created.map(|_| ()).map_err(RecordError::from))
            }
            Command::SaveJob { record } => {
                let saved = self.store.save_job(&record).map_err(RecordError::from);
                (record.job, saved)
            }
            Command::SaveGeneration { job, generation } => {
                let saved = self.store.save_generation(&job, &generation).map_err(RecordError::from);
                (job, saved)
            }
            Command::SaveCheckpoints { job, checkpoints } => {
                let saved = self.store.save_checkpoints(&job, &checkpoints).map_err(RecordError::from);
                (job, saved)
            }
            Command::SaveRun { job, run } => {
                let saved = self.in_run(&job, |folder| folder.write_run(&run));
                (job, saved)
            }
            Command::SaveLedger { job, ledger, train_samples } => {
                let saved = self.in_run(&job, |folder| folder.write_ledger(&ledger, train_samples));
                (job, saved)
            }
            Command::AppendReports { job, first_row, rows, step, reports } => {
                // Metrics first: what the database says is recorded must be there.
                let appended = self.append(&job, &reports);
                let saved = appended.and_then(|()| Ok(self.store.save_progress(&job, first_row, &rows, step)?));
                (job, saved)
            }
            Command::VoidAbove { job, step, rows, recorded } => {
                let voided = self.in_run(&job, |folder| folder.void_above(step));
                let saved = voided.and_then(|()| Ok(self.store.save_progress(&job, rows, &[], recorded)?));
                (job, saved)
            }
            Command::CloseRun { job, summary } => {
                let closed = self.in_run(&job, |folder| folder.close(&summary));
                self.runs.remove(&job);
                (job, closed)
            }
            other => unreachable!("not a record: {other:?}"),
        };
        let cause = result.err()?;
        tracing::error!(%job, "{cause}");
        Some((job, cause))
    }

    fn in_run(
        &mut self,
        job: &JobId,
        write: impl FnOnce(&mut RunFolder) -> Result<(), RunFolderError>,
    ) -> Result<(), RecordError> {
        match self.open_run(job)? {
            Some(folder) => Ok(write(folder)?),
            None => Ok(()),
        }
    }

    fn append(&mut self, job: &JobId, reports: &[Report]) -> Result<(), RecordError> {
        self.in_run(job, |folder| folder.append(reports))?;
        for report in reports {
            let event = match report {
                Report::Step(step) => watch_event::Event::Step(view::step(step)),
                Report::Evaluation(evaluation) => watch_event::Event::Evaluation(view::evaluation(evaluation)),
                Report::Probe(probe) => watch_event::Event::Probe(view::probe(probe)),
            };
            self.watchers.tell(job, wire::WatchEvent { event: Some(event) });
        }
        Ok(())
    }

    /// The folder of a job; opened again after a restart.
    fn open_run(&mut self, job: &JobId) -> Result<Option<&mut RunFolder>, RunFolderError> {
        if !self.runs.contains_key(job) {
            let Some(known) = self.cluster.job(job) else { return Ok(None) };
            let folder = RunFolder::open(&known.run_folder)?;
            self.runs.insert(job.clone(), folder);
        }
        Ok(self.runs.get_mut(job))
    }

    /// Tells watchers what the job is now; a reason goes to its log as well.
    pub(super) fn notify(&mut self, id: &JobId, reason: Option<String>) {
        let Some(job) = self.cluster.job(id) else { return };
        let (state, job_view) = (job.state.name(), view(job));
        self.watchers.tell(id, wire::WatchEvent { event: Some(watch_event::Event::Job(job_view)) });
        if let Some(reason) = reason {
            tracing::info!(job = %id, state = state.as_str(), "{reason}");
            self.add_lines(id, "", vec![format!("{}: {reason}", state.as_str())]);
        }
        if state.ended() {
            self.watchers.ended(id);
        }
    }

    /// A worker's log lines. They are a convenience: a full disk doesn't end the job for them.
    pub(super) fn log(&mut self, worker: &WorkerId, lines: Vec<String>) {
        if let Some(job) = self.cluster.job_of(worker).cloned() {
            self.add_lines(&job, worker.as_str(), lines);
        }
    }

    /// Tells watchers what was decided.
    pub(super) fn note(&self, job: &JobId, lines: &[String]) {
        let time = self.clock.now().seconds();
        for line in lines {
            let note = wire::LogLine { worker: String::new(), time, line: line.clone() };
            self.watchers.tell(job, wire::WatchEvent { event: Some(watch_event::Event::Note(note)) });
        }
    }

    pub(super) fn add_lines(&mut self, job: &JobId, worker: &str, lines: Vec<String>) {
        let time = self.clock.now();
        let row = |line| LogRow { worker: worker.to_owned(), time, line };
        let rows: Vec<LogRow> = lines.into_iter().map(row).collect();
        if let Err(error) = self.store.add_logs(job, &rows) {
            tracing::error!(%job, "{error}");
        }
        for row in rows {
            self.watchers.log(job, view::log_line(row));
        }
    }
}
