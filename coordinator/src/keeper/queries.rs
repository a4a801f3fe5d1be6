//! Answers that change nothing, and the checks before a submission.

use std::path::PathBuf;

use lockstep_proto::identity::{JobId, WorkerId};
use lockstep_proto::wire::{self, watch_event};
use tokio::sync::oneshot;
use tonic::Status;

use super::orders::refused;
use super::request::{LogsReply, Watching};
use super::{JobReply, Keeper, Waiting, view};
use crate::cluster::{Event, Job, Submission};
use crate::run_folder::RunFolder;

impl Keeper {
    fn find(&self, text: &str) -> Result<&Job, Status> {
        let id = self.cluster.find(text).map_err(refused)?;
        self.cluster.job(&id).ok_or_else(|| Status::internal("the job is gone"))
    }

    /// A run folder with something in it is refused before anything is recorded.
    pub(super) fn submit(&mut self, mut submission: Box<Submission>, reply: JobReply) {
        if let Some(folder) = submission.run_folder.as_ref().filter(|_| !submission.go_on)
            && let Err(error) = RunFolder::check(folder)
        {
            let _ = reply.send(Err(Status::invalid_argument(error.to_string())));
            return;
        }
        if let Some(folder) = submission.run_folder.as_ref().filter(|_| submission.go_on) {
            submission.history = RunFolder::history(folder);
        }
        let ticket = self.ticket(Waiting::ForJob(reply));
        self.happen(Event::Submitted { ticket, submission });
    }

    pub(super) fn list(&self, reply: oneshot::Sender<wire::ListReply>) {
        let agents = self.cluster.agents(self.clock.now());
        let agents = agents.into_iter().map(|(hello, offer)| view::agent(hello, &offer)).collect();
        let _ = reply.send(wire::ListReply { jobs: self.cluster.jobs().map(view).collect(), agents });
    }

    pub(super) fn show(&self, job: &str, reply: JobReply) {
        let _ = reply.send(self.find(job).map(view));
    }

    pub(super) fn watch(&mut self, job: &str, reply: oneshot::Sender<Result<Watching, Status>>) {
        let found = self.find(job).map(|job| {
            let event = |event| wire::WatchEvent { event: Some(event) };
            let mut now = vec![event(watch_event::Event::Job(view(job)))];
            now.extend(
                job.progress
                    .evaluations
                    .iter()
                    .map(|evaluation| event(watch_event::Event::Evaluation(view::evaluation(evaluation)))),
            );
            (job.id.clone(), job.state.name().ended(), now)
        });
        let watching = found.map(|(id, ended, now)| {
            let later = (!ended).then(|| self.watchers.watch(&id));
            Watching { now, later }
        });
        let _ = reply.send(watching);
    }

    pub(super) fn logs(&mut self, job: &str, follow: bool, reply: oneshot::Sender<Result<LogsReply, Status>>) {
        let found = self.find(job).map(|job| (job.id.clone(), job.state.name().ended()));
        let logs = found.and_then(|(id, ended)| {
            let rows = self.store.logs(&id).map_err(|e| Status::internal(e.to_string()))?;
            let open = !ended || self.cluster.has_workers(&id);
            let later = (follow && open).then(|| self.watchers.follow(&id, ended));
            Ok(LogsReply { lines: rows.into_iter().map(view::log_line).collect(), later })
        });
        let _ = reply.send(logs);
    }

    pub(super) fn run_folder_of(&self, job: &str, reply: oneshot::Sender<Result<(JobId, PathBuf), Status>>) {
        let _ = reply.send(self.find(job).map(|job| (job.id.clone(), job.run_folder.clone())));
    }

    /// Only rank 0 of a job that has not ended stores files.
    pub(super) fn run_folder_for(
        &self,
        job: &JobId,
        worker: &WorkerId,
        reply: oneshot::Sender<Result<PathBuf, Status>>,
    ) {
        let allowed = self.cluster.job(job).filter(|job| {
            let current = job.state.team().and_then(|team| team.current.as_ref());
            current.and_then(|current| current.members.first()) == Some(worker)
        });
        let denied = || Status::permission_denied(format!("{worker} is not rank 0 of job {job}"));
        let _ = reply.send(allowed.map(|job| job.run_folder.clone()).ok_or_else(denied));
    }
}
