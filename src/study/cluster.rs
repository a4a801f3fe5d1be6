//! Training on a cluster. Runs are jobs of its coordinator, each with its key in its name: so a run that was handed in once
//! is found again, by this call or by the next, and isn't trained twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use lockstep_coordinator::client::{self, Client, ClientError, Patience, SubmitArgs};
use lockstep_proto::job::Cluster;
use lockstep_proto::wire::JobView;
use lockstep_study::run::Found;
use lockstep_study::table::StudyFolder;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fetched::{Fetched, Inbox};
use super::listed::{by_key, is_waiting, name, runs_with_room, why_all_wait};
use super::site::{Came, Following, Run, RunEnd, Site};
use crate::command_line;

/// Runs that wait at the coordinator beside those that its free slots have room for, so that one begins at once where another
/// has ended, or where an agent joins.
const WAITING: usize = 2;
/// Where no run ends, how long until the cluster is asked again: slots come and go with agents and with others' jobs. The
/// longest that a run's end waits for the next question.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// A cluster, seen by its coordinator.
pub struct OnCluster {
    client: Client,
    patience: Patience,
    /// The study's folder, for people who list jobs.
    study: String,
    /// What a run takes.
    needs: Cluster,
    inbox: Inbox,
    /// Jobs that runs were handed in as before, by key; the coordinator's newest word.
    found: BTreeMap<String, JobView>,
    /// Jobs that this call waits for.
    followed: BTreeSet<String>,
    /// Jobs that have ended and came to nothing.
    useless: BTreeSet<String>,
    room: usize,
    /// When to ask again at the earliest.
    ask_from: Instant,
    /// Nothing has happened for a while.
    is_quiet: bool,
    /// Why all runs wait, and whether it was told.
    waits: Option<(String, bool)>,
    leave: CancellationToken,
    now: CancellationToken,
}

impl OnCluster {
    /// Nothing has been asked yet. `needs`: what each run takes.
    ///
    /// # Errors
    /// If the study's folder has no room.
    pub fn new(client: Client, folder: &StudyFolder, needs: Cluster) -> Result<Self> {
        let inbox = Inbox::open(folder.0.join(".pulled"))?;
        let study = folder.0.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self {
            client,
            patience: Patience::default(),
            study,
            needs,
            inbox,
            found: BTreeMap::new(),
            followed: BTreeSet::new(),
            useless: BTreeSet::new(),
            room: 0,
            ask_from: Instant::now(),
            is_quiet: false,
            waits: None,
            leave: CancellationToken::new(),
            now: CancellationToken::new(),
        })
    }

    async fn submit(&mut self, run: &Run) -> Result<JobView, ClientError> {
        let submission = SubmitArgs {
            name: name(&self.study, &run.name, &run.key),
            toml: run.job.to_toml(),
            run_folder: String::new(),
            command: command_line(),
            from: Vec::new(),
            go_on: false,
        };
        client::submit_job(&mut self.client, submission).await
    }

    /// Notes why this call's runs wait, where all of them do.
    fn note_why(&mut self, ours: &[&JobView]) {
        let why = why_all_wait(ours);
        if why.as_ref() != self.waits.as_ref().map(|(why, _)| why) {
            self.waits = why.map(|why| (why, false));
        }
    }
}

impl Site for OnCluster {
    async fn look_around(&mut self, _: usize) -> Result<()> {
        tokio::time::sleep_until(self.ask_from).await;
        let asked = Instant::now();
        let listed = match client::list_all(&mut self.client).await {
            Ok(listed) => listed,
            Err(error) if error.is_lost() => {
                self.room = 0;
                return Ok(self.patience.spend(error).await?);
            }
            Err(error) => return Err(error.into()),
        };
        self.patience = Patience::default();
        // The list is of all jobs that there ever were: nobody may be kept busy with it.
        self.ask_from = Instant::now() + asked.elapsed().min(ASK_AGAIN);
        let is_ours = |job: &&JobView| self.followed.contains(&job.job) && !client::has_ended(job);
        let ours: Vec<&JobView> = listed.jobs.iter().filter(is_ours).collect();
        let waiting = ours.iter().filter(|job| is_waiting(job)).count();
        self.room = (runs_with_room(&listed.agents, &self.needs) + WAITING).saturating_sub(waiting);
        self.followed = ours.iter().map(|job| job.job.clone()).collect();
        // Between one run and the next all wait for a moment.
        if std::mem::take(&mut self.is_quiet) {
            self.note_why(&ours);
        }
        self.found = by_key(listed.jobs, &self.useless);
        Ok(())
    }

    fn admits(&mut self, key: &str) -> bool {
        if self.found.contains_key(key) {
            return true;
        }
        let admitted = self.room > 0;
        self.room -= usize::from(admitted);
        admitted
    }

    async fn hand_in(&mut self, mut run: Run) -> Result<Option<Following>> {
        let job = match self.found.remove(&run.key) {
            Some(job) => job,
            None => match self.submit(&run).await {
                Ok(job) => job,
                // Whether it was taken, the next list tells.
                Err(error) if error.is_lost() => {
                    self.room = 0;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            },
        };
        if client::has_ended(&job) {
            // If nothing comes of it, this is not tried again.
            self.useless.insert(job.job.clone());
        } else {
            // Whatever comes of it: it would be so again.
            run.wanted = None;
            self.followed.insert(job.job.clone());
        }
        let follower = Follower {
            client: self.client.clone(),
            inbox: self.inbox.clone(),
            leave: self.leave.clone(),
            now: self.now.clone(),
        };
        Ok(Some(Box::pin(follower.follow(job, run))))
    }

    async fn changes(&mut self) -> Result<()> {
        tokio::time::sleep(ASK_AGAIN).await;
        self.is_quiet = true;
        Ok(())
    }

    fn news(&mut self) -> Option<String> {
        let (why, told) = self.waits.as_mut()?;
        (!std::mem::replace(told, true)).then(|| why.clone())
    }

    async fn stop(&mut self, _: &'static str) {
        if self.leave.is_cancelled() {
            self.now.cancel();
        }
        self.leave.cancel();
    }

    async fn write_checkpoints(&mut self) {
        for job in &self.followed {
            let (mut client, job) = (self.client.clone(), job.clone());
            // One that waits, or has ended, has none to write.
            tokio::spawn(async move { client::ask_for_checkpoint(&mut client, &job).await });
        }
    }

    async fn end(self, _: bool) -> Result<()> {
        Ok(())
    }
}

/// Waits for the end of a run's job, and fetches what came of it.
struct Follower {
    client: Client,
    inbox: Inbox,
    /// The user doesn't want to wait for jobs, or for anything.
    leave: CancellationToken,
    now: CancellationToken,
}

impl Follower {
    async fn follow(mut self, job: JobView, run: Run) -> Result<Came> {
        let begun_before = job.started > 0.0;
        // One of an earlier call. What was wrong then may have been mended.
        if client::has_ended(&job) {
            let Some(fetched) = self.fetch(&job, &run).await? else { return Ok(Came::GoesOn) };
            return match fetched {
                Fetched::Result(found) => Ok(Came::Ended(Box::new(RunEnd { job, found, begun_before }))),
                Fetched::Nothing(_) | Fetched::OtherData(_) => Ok(Came::Nothing),
            };
        }
        let ended = tokio::select! {
            ended = client::await_end(&mut self.client, &job.job) => ended,
            () = self.leave.cancelled() => return Ok(Came::GoesOn),
        };
        let ended = match ended {
            Ok(ended) => ended,
            // The coordinator has forgotten it.
            Err(error) if error.is_unknown() => return Ok(Came::Nothing),
            Err(error) => return Err(error.into()),
        };
        let Some(fetched) = self.fetch(&ended, &run).await? else { return Ok(Came::GoesOn) };
        let (reason, found) = match fetched {
            Fetched::Result(found) => (None, found),
            Fetched::Nothing(reason) => (reason, Found::Nothing),
            Fetched::OtherData(problem) => return Ok(Came::Unusable(problem)),
        };
        let reason = reason.unwrap_or_else(|| ended.reason.clone());
        Ok(Came::Ended(Box::new(RunEnd { job: JobView { reason, ..ended }, found, begun_before })))
    }

    /// Nothing if the user doesn't want to wait for it.
    async fn fetch(&mut self, ended: &JobView, run: &Run) -> Result<Option<Fetched>> {
        tokio::select! {
            fetched = self.inbox.fetch(&mut self.client, ended, run) => fetched.map(Some),
            () = self.now.cancelled() => Ok(None),
        }
    }
}
