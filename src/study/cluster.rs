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
use tokio_util::sync::CancellationToken;

use super::fetched::{Fetched, Inbox};
use super::listed::{by_key, is_waiting, name, runs_with_room};
use super::site::{Came, Following, Run, Site};

/// Runs that wait at the coordinator beside those that its free slots have room for, so that one begins at once where another
/// has ended, or where an agent joins.
const WAITING: usize = 2;
/// Where no run ends, how long until the cluster is asked again: slots come and go with agents and with others' jobs.
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
            is_quiet: false,
            waits: None,
            leave: CancellationToken::new(),
            now: CancellationToken::new(),
        })
    }

    /// The job that a run was handed in as before, if it is any use. `anew`: one that has ended is none.
    fn known(&self, key: &str, anew: bool) -> Option<&JobView> {
        self.found.get(key).filter(|job| !(anew && client::has_ended(job)))
    }

    async fn submit(&mut self, run: &Run) -> Result<JobView, ClientError> {
        let submission = SubmitArgs {
            name: name(&self.study, &run.name, &run.key),
            toml: run.job.to_toml(),
            run_folder: String::new(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            from: Vec::new(),
            go_on: false,
        };
        client::submit_job(&mut self.client, submission).await
    }

    /// Notes why this call's runs wait, where all of them do.
    fn note_why(&mut self, ours: &[&JobView]) {
        let why = ours.first().filter(|_| ours.iter().all(|job| is_waiting(job)));
        if why.map(|job| &job.reason) != self.waits.as_ref().map(|(why, _)| why) {
            self.waits = why.map(|job| (job.reason.clone(), false));
        }
    }
}

impl Site for OnCluster {
    async fn look_around(&mut self, _: usize) -> Result<()> {
        let listed = match client::list_all(&mut self.client).await {
            Ok(listed) => listed,
            Err(error) if error.is_lost() => {
                self.room = 0;
                return Ok(self.patience.spend(error).await?);
            }
            Err(error) => return Err(error.into()),
        };
        self.patience = Patience::default();
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

    fn admits(&mut self, key: &str, anew: bool) -> bool {
        if self.known(key, anew).is_some() {
            return true;
        }
        self.found.remove(key);
        let admitted = self.room > 0;
        self.room -= usize::from(admitted);
        admitted
    }

    async fn hand_in(&mut self, run: Run) -> Result<Option<Following>> {
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
        // One of an earlier call.
        if client::has_ended(&job) {
            let Some(fetched) = self.fetch(&job, &run).await? else { return Ok(Came::GoesOn) };
            return match fetched {
                Fetched::Result(found) => Ok(Came::Ended(Box::new((job, found)))),
                Fetched::Nothing(_) => Ok(Came::Nothing),
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
        };
        let reason = reason.unwrap_or_else(|| ended.reason.clone());
        Ok(Came::Ended(Box::new((JobView { reason, ..ended }, found))))
    }

    /// Nothing if the user doesn't want to wait for it.
    async fn fetch(&mut self, ended: &JobView, run: &Run) -> Result<Option<Fetched>> {
        tokio::select! {
            fetched = self.inbox.fetch(&mut self.client, ended, run) => fetched.map(Some),
            () = self.now.cancelled() => Ok(None),
        }
    }
}
