//! Trains a study's runs, many at a time, through a coordinator and an agent of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Result, anyhow};
use lockstep_coordinator::client::{self, Client, ClientError, SubmitArgs};
use lockstep_proto::job::Cluster;
use lockstep_proto::wire::JobView;
use lockstep_study::plan::{Planner, Survey, Task};
use lockstep_study::run::{self, Found};
use tokio::task::JoinSet;

use super::folder::OpenFolder;
use super::progress::{Counts, Progress};
use super::shelf::Shelf;
use super::unpacked::Unpacked;
use crate::device::Offered;
use crate::embedded::{Asked, Embedded, Signals};

/// Runs that wait for a slot at the coordinator, so that one begins at once where another has ended.
const WAITING: usize = 2;

/// What a study's runs need to be trained.
pub struct Pool<'a> {
    folder: &'a OpenFolder,
    planner: Planner,
    shelf: Shelf,
    offered: Offered,
    unpacked: Option<Unpacked>,
    progress: Progress,
    /// Handed in, and not yet ended.
    running: BTreeMap<String, (Task, Instant)>,
    failed: Vec<(String, String)>,
}

/// What became of it.
pub struct Ended {
    pub planner: Planner,
    pub shelf: Shelf,
    /// Runs that came to nothing, and why; divergences are not among them.
    pub failed: Vec<(String, String)>,
    /// The user asked to stop, and runs are left.
    pub stopped: bool,
}

/// How many runs there are at a time, and what slots that takes.
struct Room {
    runs: usize,
    slots: u32,
}

impl<'a> Pool<'a> {
    pub fn new(folder: &'a OpenFolder, planner: Planner, shelf: Shelf, offered: Offered, progress: Progress) -> Self {
        let (running, failed) = (BTreeMap::new(), Vec::new());
        Self { folder, planner, shelf, offered, unpacked: None, progress, running, failed }
    }

    fn survey(&mut self) -> Survey {
        self.shelf.survey(&mut self.planner)
    }

    /// Runs that can begin now, in order; each once.
    fn next(&self, survey: &Survey) -> Vec<Task> {
        let mut named = BTreeSet::new();
        let is_open = |task: &&Task| {
            let key = &task.key;
            !self.shelf.known().contains_key(key)
                && !self.shelf.is_withheld(key)
                && !self.running.contains_key(key)
                && !self.failed.iter().any(|(failed, _)| failed == key)
        };
        survey.tasks.iter().filter(is_open).filter(|task| named.insert(&task.key)).cloned().collect()
    }

    fn counts(&self, survey: &Survey) -> Counts {
        let keys: BTreeSet<&String> = survey.tasks.iter().map(|task| &task.key).collect();
        let known = self.shelf.known();
        let done = keys.iter().filter(|key| known.contains_key(**key)).count();
        let left = survey
            .tasks
            .iter()
            .filter(|task| !known.contains_key(&task.key))
            .map(|task| (task.cell, task.tunes))
            .collect();
        Counts { done, running: self.running.len(), of: keys.len() + survey.later, left, later: survey.later }
    }

    /// Hands a run in.
    async fn submit(&mut self, client: &mut Client, task: Task) -> Result<String> {
        let go_on = self.shelf.is_begun(&task.key);
        if !go_on {
            self.folder.remove_run(&task.key)?;
        }
        let cell = &self.planner.grid().cells[task.cell];
        let mut job = task.job.clone();
        self.unpacked.iter().for_each(|unpacked| unpacked.name(&mut job));
        let submission = SubmitArgs {
            name: format!("{}-{}", cell.id, task.seed),
            toml: job.to_toml(),
            run_folder: self.folder.files.run(&task.key).display().to_string(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            from: Vec::new(),
            go_on,
        };
        let submitted = client::submit_job(client, submission).await?;
        self.running.insert(task.key.clone(), (task, Instant::now()));
        Ok(submitted.job)
    }

    /// Takes in how a run has ended.
    fn take_in(&mut self, key: &str, job: Result<JobView, ClientError>) -> Result<()> {
        let Some((task, since)) = self.running.remove(key) else { return Ok(()) };
        let job = job?;
        match run::look(&self.folder.files.run(key), key)? {
            Found::Finished(outcome) => {
                // A run that waited for a slot took no time meanwhile.
                let seconds = if job.started > 0.0 && job.ended > job.started {
                    job.ended - job.started
                } else {
                    since.elapsed().as_secs_f64()
                };
                self.progress.finished(&self.planner.grid().cells[task.cell], &task, &outcome, seconds);
                self.shelf.finished(key, *outcome);
            }
            Found::Nothing | Found::Unfinished { .. } if job.state == "interrupted" => {}
            Found::Nothing | Found::Unfinished { .. } => self.failed.push((key.to_owned(), job.reason)),
        }
        Ok(())
    }
}

/// Trains all that the plan names, until there is no more or the user stops it.
///
/// # Errors
/// If this machine lacks something. What was finished stays.
pub async fn train(mut pool: Pool<'_>) -> Result<Ended> {
    let mut survey = pool.survey();
    pool.progress.begin(&pool.counts(&survey));
    let mut stopped = false;
    if !pool.next(&survey).is_empty() {
        let signals = Signals::listen()?;
        let room = room(pool.planner.grid().cluster(), &pool.offered);
        let threads = pool.planner.grid().cluster().threads.max(1);
        let unpacked = Unpacked::of(pool.planner.grid(), pool.folder.files.0.join(".data"))?;
        let mut embedded = Embedded::start(room.slots, threads, &pool.offered, unpacked.folders()?).await?;
        pool.unpacked = Some(unpacked);
        let trained = train_over(&mut pool, &mut survey, &mut embedded, signals, room.runs).await;
        let in_order = matches!(trained, Ok(Stop::None | Stop::Asked));
        let ended = embedded.end(in_order).await;
        // Who stops it as its last run ends has a whole study.
        stopped = trained? != Stop::None && !survey.is_whole(pool.shelf.known());
        ended?;
    }
    pool.progress.end();
    let Pool { planner, shelf, failed, .. } = pool;
    Ok(Ended { planner, shelf, failed, stopped })
}

/// Whether the user wants it to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    None,
    /// After the steps in flight.
    Asked,
    /// At once.
    Hurried,
}

async fn train_over(
    pool: &mut Pool<'_>,
    survey: &mut Survey,
    embedded: &mut Embedded,
    mut signals: Signals,
    room: usize,
) -> Result<Stop> {
    let mut client = client::connect(&embedded.address).await?;
    let mut following: JoinSet<(String, Result<JobView, ClientError>)> = JoinSet::new();
    let mut stop = Stop::None;
    loop {
        if stop == Stop::None {
            let free = (room + WAITING).saturating_sub(pool.running.len());
            for task in pool.next(survey).into_iter().take(free) {
                let key = task.key.clone();
                let job = pool.submit(&mut client, task).await?;
                let mut client = client.clone();
                following.spawn(async move { (key, client::follow(&mut client, &job, client::View::Quiet).await) });
            }
        }
        if following.is_empty() {
            return Ok(stop);
        }
        tokio::select! {
            Some(ended) = following.join_next() => {
                let (key, job) = ended?;
                pool.take_in(&key, job)?;
                *survey = pool.survey();
                pool.progress.update(&pool.counts(survey));
            }
            signal = signals.next() => match signal {
                Asked::Stop(reason) => {
                    stop = if stop == Stop::None { Stop::Asked } else { Stop::Hurried };
                    embedded.handle.interrupt(reason).await;
                }
                Asked::Checkpoint => embedded.handle.write_checkpoints().await,
            },
            () = embedded.agent_ends() => return Err(anyhow!("the agent ended before the study")),
        }
    }
}

/// As many runs as this machine's cores have threads for, or its GPUs workers; at least one.
fn room(cluster: &Cluster, offered: &Offered) -> Room {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runs = match offered.most() {
        Some(gpus) => gpus / cluster.workers.max(1),
        None => (cores / (cluster.workers * cluster.threads).max(1) as usize) as u32,
    };
    let runs = runs.max(1);
    Room { runs: runs as usize, slots: runs * (cluster.workers + cluster.spares) }
}
