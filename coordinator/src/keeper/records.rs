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
enum RecordError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
}

impl Keeper {
    /// Carries a record out; gives the job and the cause where that failed.
    pub(super) fn record(&mut self, command: Command) -> Option<(JobId, String)> {
        let (job, result) = match command {
            Command::CreateRun { record } => {
                let created = RunFolder::create(&record.run_folder, &record.toml);
                let created = created.map(|run| self.runs.insert(record.job.clone(), run));
                (record.job, created.map(|_| ()).map_err(RecordError::from))
            }
            Command::SaveJob { record } => {
                let saved = self.store.save_job(&record).map_err(RecordError::from);
                (record.job, saved)
            }
            Command::SaveRun { job, run } => {
                let saved = run.generations.last().map_or(Ok(()), |newest| self.store.save_generation(&job, newest));
                let saved = saved
                    .map_err(RecordError::from)
                    .and_then(|()| Ok(self.open_run(&job)?.map_or(Ok(()), |folder| folder.write_run(&run))?));
                (job, saved)
            }
            Command::AppendReports { job, reports } => {
                let appended = self.append(&job, &reports);
                (job, appended)
            }
            Command::CloseRun { job, summary } => {
                let closed =
                    self.open_run(&job).and_then(|folder| folder.map_or(Ok(()), |folder| folder.close(&summary)));
                self.runs.remove(&job);
                (job, closed.map_err(RecordError::from))
            }
            other => unreachable!("not a record: {other:?}"),
        };
        let cause = result.err()?.to_string();
        tracing::error!(%job, "{cause}");
        Some((job, cause))
    }

    fn append(&mut self, job: &JobId, reports: &[Report]) -> Result<(), RecordError> {
        if let Some(folder) = self.open_run(job)? {
            folder.append(reports)?;
        }
        for report in reports {
            let event = match report {
                Report::Step(step) => watch_event::Event::Step(view::step(step)),
                Report::Evaluation(evaluation) => watch_event::Event::Evaluation(view::evaluation(evaluation)),
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

    fn add_lines(&mut self, job: &JobId, worker: &str, lines: Vec<String>) {
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
