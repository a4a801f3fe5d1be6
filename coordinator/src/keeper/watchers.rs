//! Who watches jobs and follows logs. One that reads too slowly misses events, never the last.

use std::collections::HashMap;

use lockstep_proto::identity::JobId;
use lockstep_proto::wire;
use tokio::sync::broadcast;

/// Events kept for the slowest watcher.
const KEPT: usize = 1024;

/// Channels to watchers, of jobs that have some.
#[derive(Default)]
pub struct Watchers {
    jobs: HashMap<JobId, broadcast::Sender<wire::WatchEvent>>,
    logs: HashMap<JobId, broadcast::Sender<wire::LogLine>>,
    ended: Vec<JobId>,
}

impl Watchers {
    /// A new watcher of a job that has not ended.
    pub fn watch(&mut self, job: &JobId) -> broadcast::Receiver<wire::WatchEvent> {
        subscribe(&mut self.jobs, job)
    }

    /// A new follower of a log that may still grow.
    pub fn follow(&mut self, job: &JobId, ended: bool) -> broadcast::Receiver<wire::LogLine> {
        if ended && !self.ended.contains(job) {
            self.ended.push(job.clone());
        }
        subscribe(&mut self.logs, job)
    }

    /// Tells watchers of a job.
    pub fn tell(&self, job: &JobId, event: wire::WatchEvent) {
        if let Some(watchers) = self.jobs.get(job) {
            // Nobody there: nothing to tell.
            let _ = watchers.send(event);
        }
    }

    /// Tells followers of a log.
    pub fn log(&self, job: &JobId, line: wire::LogLine) {
        if let Some(followers) = self.logs.get(job) {
            let _ = followers.send(line);
        }
    }

    /// A job has ended: its watchers' streams end after what they were told.
    pub fn ended(&mut self, job: &JobId) {
        self.jobs.remove(job);
        if self.logs.contains_key(job) {
            self.ended.push(job.clone());
        }
    }

    /// Ends the logs of jobs that have ended and have no worker left to write some.
    pub fn close_logs(&mut self, has_workers: impl Fn(&JobId) -> bool) {
        let logs = &mut self.logs;
        self.ended.retain(|job| {
            let open = has_workers(job);
            if !open {
                logs.remove(job);
            }
            open
        });
    }
}

fn subscribe<T: Clone>(channels: &mut HashMap<JobId, broadcast::Sender<T>>, job: &JobId) -> broadcast::Receiver<T> {
    let channel = channels.entry(job.clone()).or_insert_with(|| broadcast::channel(KEPT).0);
    channel.subscribe()
}
