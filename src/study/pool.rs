//! Trains a study's runs, many at a time, at a site.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Error, Result};
use lockstep_study::grid::Grid;
use lockstep_study::plan::{Planner, Survey, Task};
use lockstep_study::run::Found;
use lockstep_study::table::StudyFolder;
use tokio::task::{JoinError, JoinSet};

use super::folder::OpenFolder;
use super::progress::{Counts, Progress};
use super::shelf::Shelf;
use super::site::{Came, Following, Run, RunEnd, Site};
use crate::BadInput;
use crate::embedded::{Asked, Signals};

/// What a study's runs need to be trained.
pub struct Pool<'a> {
    folder: &'a OpenFolder,
    planner: Planner,
    shelf: Shelf,
    progress: Progress,
    survey: Survey,
    /// Handed in, and not yet ended.
    running: BTreeMap<String, (Task, Instant)>,
    failed: Vec<(String, String)>,
    /// Runs that go on without this process.
    go_on: usize,
    /// Runs come back as the study needs them.
    are_used: bool,
    stop: Stop,
}

/// What became of it.
pub struct Ended {
    pub planner: Planner,
    pub shelf: Shelf,
    /// Runs that came to nothing, and why; divergences are not among them.
    pub failed: Vec<(String, String)>,
    /// The user asked to stop, and runs are left.
    pub stopped: bool,
    /// Runs that go on without this process.
    pub go_on: usize,
    /// What has ended it before its time.
    pub broken: Option<Error>,
}

/// Whether the user wants it to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    None,
    /// In order.
    Asked,
    /// At once.
    Hurried,
}

/// Runs that are trained, each with its key.
type Followed = JoinSet<(String, Result<Came>)>;

impl<'a> Pool<'a> {
    /// Looks what there is to train.
    pub fn new(folder: &'a OpenFolder, mut planner: Planner, mut shelf: Shelf, mut progress: Progress) -> Self {
        let survey = shelf.survey(&mut planner);
        let (running, failed) = (BTreeMap::new(), Vec::new());
        progress.begin(&counts(&shelf, &survey, 0));
        Self { folder, planner, shelf, progress, survey, running, failed, go_on: 0, are_used: true, stop: Stop::None }
    }

    /// Whether there is anything to train.
    pub fn is_open(&self) -> bool {
        self.open().next().is_some()
    }

    /// What it trains.
    pub fn grid(&self) -> &Grid {
        self.planner.grid()
    }

    /// Where it goes.
    pub fn files(&self) -> &StudyFolder {
        &self.folder.files
    }

    /// Trains all that the plan names, until there is no more or the user stops it.
    ///
    /// # Errors
    /// If something is lacking. What was finished stays.
    pub async fn train(&mut self, mut site: impl Site, signals: Signals) -> Result<()> {
        let trained = self.train_at(&mut site, signals).await;
        let in_order = trained.is_ok() && self.stop != Stop::Hurried;
        let ended = site.end(in_order).await;
        trained?;
        ended
    }

    /// Runs that were handed in go on without this process.
    pub fn leave_running(&mut self) {
        self.go_on += std::mem::take(&mut self.running).len();
    }

    /// Nothing more is trained. `broken`: what has ended it before its time.
    pub fn end(self, broken: Option<Error>) -> Ended {
        self.progress.end();
        // Who stops it as its last run ends has a whole study.
        let stopped = self.stop != Stop::None && !self.survey.is_whole(self.shelf.known());
        let Self { planner, shelf, failed, go_on, .. } = self;
        Ended { planner, shelf, failed, stopped, go_on, broken }
    }

    async fn train_at(&mut self, site: &mut impl Site, mut signals: Signals) -> Result<()> {
        let mut followed = Followed::new();
        loop {
            let mut waits = false;
            if self.stop == Stop::None && self.are_used {
                // Who asks others may have to wait for an answer; the user doesn't.
                tokio::select! {
                    looked = site.look_around(self.running.len()) => looked?,
                    signal = signals.next() => {
                        self.heed(site, signal).await;
                        continue;
                    }
                }
                waits = self.hand_in(site, &mut followed, &mut signals).await?;
            }
            self.progress.update(&counts(&self.shelf, &self.survey, self.running.len()));
            if followed.is_empty() && !waits {
                return Ok(());
            }
            tokio::select! {
                Some(ended) = followed.join_next() => self.take_in_all(ended, &mut followed)?,
                signal = signals.next() => self.heed(site, signal).await,
                changed = site.changes() => changed?,
            }
        }
    }

    async fn heed(&mut self, site: &mut impl Site, signal: Asked) {
        match signal {
            Asked::Stop(reason) => {
                self.stop = if self.stop == Stop::None { Stop::Asked } else { Stop::Hurried };
                site.stop(reason).await;
            }
            Asked::Checkpoint => site.write_checkpoints().await,
        }
    }

    /// Hands in runs that there is room for, unless the user stops it; whether others wait.
    async fn hand_in(&mut self, site: &mut impl Site, followed: &mut Followed, signals: &mut Signals) -> Result<bool> {
        if let Some(news) = site.news() {
            self.progress.note(&news);
        }
        let mut waits = false;
        let open: Vec<Task> = self.open().cloned().collect();
        for task in open {
            if !site.admits(&task.key) {
                waits = true;
                continue;
            }
            let (handed_in, signal) = hand_in_one(site, self.run(&task), signals).await?;
            if let Some(signal) = signal {
                self.heed(site, signal).await;
            }
            let Some(following) = handed_in else { return Ok(self.stop == Stop::None) };
            let key = task.key.clone();
            followed.spawn(async move { (key, following.await) });
            self.running.insert(task.key.clone(), (task, Instant::now()));
            if self.stop != Stop::None {
                return Ok(false);
            }
        }
        Ok(waits)
    }

    fn run(&self, task: &Task) -> Run {
        let cell = &self.planner.grid().cells[task.cell];
        Run {
            key: task.key.clone(),
            name: format!("{}-{}", cell.id, task.seed),
            job: task.job.clone(),
            folder: self.folder.files.run(&task.key),
            go_on: self.shelf.is_begun(&task.key),
            dataset: cell.facts.dataset.clone(),
            wanted: self.shelf.wanted().map(str::to_owned),
        }
    }

    /// Runs that can begin now, in order; each once.
    fn open(&self) -> impl Iterator<Item = &Task> {
        let mut named = BTreeSet::new();
        let is_open = |key: &String| {
            !self.shelf.known().contains_key(key)
                && !self.shelf.is_withheld(key)
                && !self.running.contains_key(key)
                && !self.failed.iter().any(|(failed, _)| failed == key)
        };
        self.survey.tasks.iter().filter(move |task| is_open(&task.key) && named.insert(&task.key))
    }

    /// Takes in what became of a run, and of all others that have ended by now.
    fn take_in_all(&mut self, first: Result<(String, Result<Came>), JoinError>, followed: &mut Followed) -> Result<()> {
        let mut next = Some(first);
        while let Some(ended) = next {
            let (key, came) = ended?;
            self.take_in(&key, came?)?;
            next = followed.try_join_next();
        }
        Ok(())
    }

    fn take_in(&mut self, key: &str, came: Came) -> Result<()> {
        let Some((task, since)) = self.running.remove(key) else { return Ok(()) };
        match came {
            Came::Ended(ended) => self.take_in_ended(&task, since, *ended),
            Came::GoesOn => self.go_on += 1,
            Came::Nothing => {}
            Came::Unusable(problem) => return Err(BadInput(problem).into()),
        }
        Ok(())
    }

    fn take_in_ended(&mut self, task: &Task, since: Instant, ended: RunEnd) {
        let RunEnd { job, found, begun_before } = ended;
        match found {
            Found::Finished(outcome) => {
                // A run that waited for a slot took no time meanwhile.
                let seconds = if job.started > 0.0 && job.ended > job.started {
                    job.ended - job.started
                } else {
                    since.elapsed().as_secs_f64()
                };
                if !begun_before {
                    self.progress.took(task, seconds);
                }
                self.progress.finished(&self.planner.grid().cells[task.cell], task, &outcome, seconds);
                self.are_used &= self.shelf.finished(&task.key, *outcome);
                self.survey = self.shelf.survey(&mut self.planner);
            }
            Found::Nothing | Found::Unfinished { .. } if job.state == "interrupted" => {}
            Found::Nothing | Found::Unfinished { .. } => self.failed.push((task.key.clone(), job.reason)),
        }
    }
}

/// Hands in a run: the user may ask for something meanwhile, and does not wait for an answer to stop.
async fn hand_in_one(
    site: &mut impl Site,
    run: Run,
    signals: &mut Signals,
) -> Result<(Option<Following>, Option<Asked>)> {
    let mut handing_in = std::pin::pin!(site.hand_in(run));
    let mut asked = None;
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Asked::Stop(_) => return Ok((None, Some(signal))),
                Asked::Checkpoint => asked = Some(signal),
            },
            handed_in = &mut handing_in => return Ok((handed_in?, asked)),
        }
    }
}

fn counts(shelf: &Shelf, survey: &Survey, running: usize) -> Counts {
    let keys: BTreeSet<&String> = survey.tasks.iter().map(|task| &task.key).collect();
    let known = shelf.known();
    let done = keys.iter().filter(|key| known.contains_key(**key)).count();
    let is_left = |task: &&Task| !known.contains_key(&task.key);
    let left = survey.tasks.iter().filter(is_left).map(|task| (task.cell, task.tunes)).collect();
    Counts { done, running, of: keys.len() + survey.later, left, later: survey.later }
}
