//! Requests of users.

use std::path::PathBuf;

use lockstep_proto::job::Job as JobSpec;
use lockstep_proto::wire;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tonic::Status;

use super::service::{Answers, Service};
use crate::cluster::Submission;
use crate::cluster::job::check;
use crate::keeper::{LogsReply, Request, Watching};

/// Bytes of a resolved job file.
const LARGEST_JOB: usize = 256 << 10;
/// Folders to go on from, and bytes of the name of one.
const MOST_FOLDERS: usize = 16;
const LONGEST_PATH: usize = 4096;
/// Characters of a job's name.
const LONGEST_NAME: usize = 100;

impl Service {
    /// Checks a job and hands it in.
    pub async fn submit_job(&self, request: wire::SubmitRequest) -> Result<wire::JobView, Status> {
        let submission = Box::new(self.submission(request)?);
        self.ask(|reply| Request::Submit { submission, reply }).await?
    }

    fn submission(&self, request: wire::SubmitRequest) -> Result<Submission, Status> {
        let bad = |reason: String| Status::invalid_argument(reason);
        if request.job_toml.len() > LARGEST_JOB {
            return Err(bad(format!("the job file has more than {LARGEST_JOB} bytes")));
        }
        let spec = JobSpec::from_toml(&request.job_toml).map_err(|e| bad(e.to_string()))?;
        check(&spec).map_err(bad)?;
        if request.from.len() > MOST_FOLDERS || request.from.iter().any(|folder| folder.len() > LONGEST_PATH) {
            return Err(bad(format!(
                "more than {MOST_FOLDERS} folders to go on from, or longer than {LONGEST_PATH} bytes"
            )));
        }
        let go_on = request.go_on && self.allow_run_folder;
        let run_folder = match request.run_folder.as_str() {
            "" => None,
            folder if self.allow_run_folder => Some(PathBuf::from(folder)),
            _ => return Err(bad("this coordinator chooses run folders itself".into())),
        };
        let name = request.name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        let command = request.command.chars().take(LARGEST_JOB).collect();
        Ok(Submission {
            name,
            spec,
            toml: request.job_toml,
            run_folder,
            command,
            from: request.from,
            go_on,
            history: Vec::new(),
        })
    }

    /// What a job is, then what it becomes.
    pub async fn watch_job(&self, job: String) -> Result<Answers<wire::WatchEvent>, Status> {
        let Watching { now, later } = self.ask(|reply| Request::Watch { job, reply }).await??;
        Ok(chain(now, later))
    }

    /// A job's log, so far or on and on.
    pub async fn read_logs(&self, request: wire::LogsRequest) -> Result<Answers<wire::LogLine>, Status> {
        let wire::LogsRequest { job, follow } = request;
        let LogsReply { lines, later } = self.ask(|reply| Request::Logs { job, follow, reply }).await??;
        Ok(chain(lines, later))
    }
}

/// First these, then what comes. A slow reader misses some of it, not the end.
fn chain<T: Clone + Send + 'static>(now: Vec<T>, later: Option<tokio::sync::broadcast::Receiver<T>>) -> Answers<T> {
    let now = tokio_stream::iter(now.into_iter().map(Ok));
    match later {
        Some(later) => Box::pin(now.chain(BroadcastStream::new(later).filter_map(|item| item.ok().map(Ok)))),
        None => Box::pin(now),
    }
}
