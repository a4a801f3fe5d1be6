//! A model of the compute thread: from generation to generation with a state, telling control what the real one tells.

mod checkpoints;
mod ending;
mod start;
mod step;

use std::collections::VecDeque;

use lockstep_proto::wire;
use lockstep_worker::control::{Batch, Entry, Event, TrainerEvent};

use crate::model::{BATCH, State};
use crate::world::{Action, World};

/// What a compute thread is told to do.
#[derive(Debug)]
pub(crate) enum Task {
    Prepare,
    Enter(Box<Entry>),
    WriteCheckpoint,
    DeleteCheckpoints(Vec<String>),
}

/// How far a compute thread has got.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// Data set and model stand.
    Prepared,
    /// All members have met.
    Connected,
    /// They did not in time.
    Missed,
    /// The source's state has come.
    Shared,
    /// The lanes are done.
    Lanes,
    /// The reduction is whole.
    Commit,
    /// The connection to a rank broke.
    Lost(u32),
    /// The evaluation behind a step is done.
    Evaluated,
    /// It sees that it is to leave.
    Abort,
    /// The last evaluation is done.
    End,
}

/// What is wrong with a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wrong {
    #[default]
    Nothing,
    /// Its memory: its state is another after each step.
    Memory,
    /// Its gradients.
    Gradients,
}

/// A compute thread.
#[derive(Default)]
pub(crate) struct Trainer {
    prepared: bool,
    state: Option<State>,
    /// Until the next step boundary.
    tasks: Vec<Task>,
    part: Option<Part>,
    /// Counts parts, so that what belongs to an earlier one is told from this one's.
    parts: u64,
    /// The newest generation that it has entered.
    pub highest_entered: u64,
    /// Snapshots to write, and whether they have to be, whatever comes after them.
    writes: VecDeque<(State, bool)>,
    /// It was told that the disk is full.
    full: bool,
    told_until: u64,
    phase: usize,
    phase_since: u64,
    progress: u64,
    longest: [u64; PHASES.len()],
    pub wrong: Wrong,
}

const PHASES: [&str; 8] = ["idle", "prepare", "start", "lanes", "reduce", "commit", "checkpoint", "evaluate"];
const IDLE: usize = 0;
const PREPARE: usize = 1;
const START: usize = 2;
const LANES_PHASE: usize = 3;
const REDUCE: usize = 4;
const COMMIT: usize = 5;
const CHECKPOINT: usize = 6;
const EVALUATE: usize = 7;

/// A part in a generation.
struct Part {
    group: usize,
    rank: usize,
    entry: Box<Entry>,
    stage: Stage,
    /// Wishes to stop.
    flags: u64,
    lost: Option<u32>,
    /// It has the state: there may be something to hand over.
    ready: bool,
    /// Number of the first ledger row that changed.
    changed: Option<usize>,
    reports: Vec<wire::Report>,
    /// Reports up to this step are made, and as control knows it.
    reported: u64,
    told: u64,
    handed: u64,
}

enum Stage {
    Meeting,
    /// Waits for the source, with what it has by itself.
    Sharing(Option<State>),
    /// Computes, with the wishes to stop as they were at the beginning.
    Lanes(u64),
    Reducing,
    /// Evaluates, with the wishes to stop that the step behind it was committed with.
    Evaluating(u64),
    /// Waits for its checkpoints, then ends like this.
    Saving(&'static str),
    /// Ends like this.
    Ending(&'static str),
}

impl Trainer {
    /// Whether it takes part in this group.
    pub fn is_in(&self, group: usize) -> bool {
        self.part.as_ref().is_some_and(|part| part.group == group)
    }

    /// Steps that it holds.
    pub fn step(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.step)
    }

    /// Whether it has the state of the generation that it takes part in.
    pub fn is_ready(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part.ready)
    }

    /// What is wrong with its state.
    pub fn taint(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.taint)
    }

    /// Its sign of life.
    pub fn alive(&self, now: u64) -> wire::WorkerAlive {
        wire::WorkerAlive {
            progress: self.progress,
            phase: PHASES[self.phase].into(),
            step: self.step(),
            phase_seconds: (now - self.phase_since) as f64 / 1000.0,
            longest_seconds: self.longest[self.phase] as f64 / 1000.0,
            ..Default::default()
        }
    }

    fn enter_phase(&mut self, now: u64, phase: usize) {
        let taken = now - self.phase_since;
        self.longest[self.phase] = self.longest[self.phase].max(taken);
        (self.phase, self.phase_since) = (phase, now);
        self.progress += 1;
    }

    fn stage(&mut self) -> Option<&mut Stage> {
        self.part.as_mut().map(|part| &mut part.stage)
    }
}

impl World {
    fn trainer(&mut self, worker: usize) -> &mut Trainer {
        &mut self.workers[worker].trainer
    }

    fn phase(&mut self, worker: usize, phase: usize) {
        let now = self.now;
        self.trainer(worker).enter_phase(now, phase);
    }

    /// The compute thread will have got that far in `delay`, if it is in the same part then.
    pub(crate) fn compute_later(&mut self, worker: usize, delay: u64, work: Work) {
        let part = self.trainer(worker).parts;
        self.later(delay, Action::Compute { worker, part, work });
    }

    /// Tells control, in order.
    fn says(&mut self, worker: usize, event: TrainerEvent) {
        let at = (self.now + self.random.draw() % 3).max(self.trainer(worker).told_until);
        self.trainer(worker).told_until = at;
        self.at(at, Action::Told { worker, event: Box::new(event) });
    }

    pub(crate) fn trainer_told(&mut self, worker: usize, event: TrainerEvent) {
        self.control(worker, Event::Trainer(event));
    }

    /// A task comes in.
    pub(crate) fn trainer_gets(&mut self, worker: usize, task: Task) {
        match task {
            Task::Prepare => {
                self.phase(worker, PREPARE);
                let takes = self.random.within(30, 1_500);
                self.compute_later(worker, takes, Work::Prepared);
            }
            Task::Enter(entry) => self.enter(worker, entry),
            task => {
                self.trainer(worker).tasks.push(task);
                let waits = self.trainer(worker).stage().is_none_or(|stage| matches!(stage, Stage::Saving(_)));
                if waits {
                    self.obey_tasks(worker);
                }
            }
        }
    }

    /// Tasks that came meanwhile.
    fn obey_tasks(&mut self, worker: usize) {
        for task in std::mem::take(&mut self.trainer(worker).tasks) {
            match task {
                Task::WriteCheckpoint => self.write(worker, true),
                Task::DeleteCheckpoints(names) => names.iter().for_each(|name| self.disk.delete(name)),
                Task::Prepare | Task::Enter(_) => {}
            }
        }
    }

    /// The compute thread has got that far.
    pub(crate) fn compute(&mut self, worker: usize, part: u64, work: Work) {
        if self.trainer(worker).parts != part {
            return;
        }
        match work {
            Work::Prepared => self.prepared(worker),
            Work::Connected => self.connected(worker),
            Work::Missed => {
                if matches!(self.trainer(worker).stage(), Some(Stage::Meeting)) {
                    self.leave(worker, "not all members came within 30 s".into(), None);
                }
            }
            Work::Shared => self.shared(worker),
            Work::Lanes => self.lanes_done(worker),
            Work::Commit => self.commit(worker),
            Work::Evaluated => self.evaluated(worker),
            Work::Lost(rank) => self.peer_lost(worker, rank),
            Work::Abort => self.aborted(worker),
            Work::End => self.finish(worker),
        }
    }

    fn prepared(&mut self, worker: usize) {
        self.trainer(worker).prepared = true;
        self.phase(worker, IDLE);
        let (held, name) = self.disk.newest().unzip();
        let job = &self.plan.job;
        let prepared = wire::Prepared {
            dataset: "d".into(),
            total_steps: job.steps,
            total_epochs: job.steps / job.epoch,
            parameters: 1,
            train_samples: job.epoch * BATCH,
            checkpoint: held,
            checkpoint_name: name.unwrap_or_default(),
            remarks: Vec::new(),
            sees_run_folder: true,
            sample: vec![1, 28, 28],
        };
        self.says(worker, TrainerEvent::Prepared(Box::new(prepared)));
    }

    fn set_stage(&mut self, worker: usize, stage: Stage) {
        if let Some(own) = self.trainer(worker).stage() {
            *own = stage;
        }
    }

    /// Hands what was committed to control.
    fn hand_over(&mut self, worker: usize) {
        let now = self.now;
        let trainer = self.trainer(worker);
        let (Some(state), Some(part)) = (&trainer.state, &mut trainer.part) else { return };
        if !part.ready || (part.changed.is_none() && part.reports.is_empty() && part.told == part.reported) {
            return;
        }
        let first_row = part.changed.take().unwrap_or(state.ledger.rows().len());
        let rows = state.ledger.rows()[first_row..].to_vec();
        let batch = Batch { reported: part.reported, first_row, rows, reports: std::mem::take(&mut part.reports) };
        part.handed = now;
        part.told = part.reported;
        self.says(worker, TrainerEvent::Committed(Box::new(batch)));
    }
}
