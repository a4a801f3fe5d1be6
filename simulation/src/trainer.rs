//! A model of the compute thread: from generation to generation with a state, telling control what the real one tells.

use std::collections::VecDeque;

use lockstep_proto::identity::Generation;
use lockstep_proto::wire::{self, start::From};
use lockstep_worker::control::{Batch, Entry, Event, Ready, StopReason, TrainerEvent};

use crate::group::Contribution;
use crate::model::{BATCH, LANES, State};
use crate::random::hash;
use crate::world::{Action, World};
use crate::{Bug, reports};

/// How long members wait for each other.
const MEET_WITHIN: u64 = 30_000;
/// Least time between two batches of reports.
const HAND_OVER_EVERY: u64 = 100;
/// Between tries to write to a full disk.
const RETRY: u64 = 2_000;

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

    /// Into a generation.
    fn enter(&mut self, worker: usize, entry: Box<Entry>) {
        let Ok(generation) = Generation::try_from(entry.begin.generation.clone()) else { return };
        self.inspect_entry(worker, generation);
        let rank = entry.begin.rank as usize;
        let group = self.enter_group(worker, generation, rank, entry.begin.members.len());
        self.phase(worker, START);
        let now = self.now;
        let trainer = self.trainer(worker);
        trainer.highest_entered = trainer.highest_entered.max(generation.number);
        trainer.parts += 1;
        trainer.part = Some(Part {
            group,
            rank,
            entry,
            stage: Stage::Meeting,
            flags: 0,
            lost: None,
            ready: false,
            changed: None,
            reports: Vec::new(),
            reported: 0,
            told: 0,
            handed: now,
        });
        self.compute_later(worker, MEET_WITHIN, Work::Missed);
        self.meet(group);
    }

    /// All have met: what it has of the state by itself, and what it gives to the others.
    fn connected(&mut self, worker: usize) {
        let Some(part) = &self.workers[worker].trainer.part else { return };
        let (group, rank) = (part.group, part.rank);
        let start = part.entry.begin.start.clone().unwrap_or_default();
        let has = match self.has(worker, &start, rank) {
            Ok(has) => has,
            Err(cause) => return self.leave(worker, cause, None),
        };
        if !start.share || start.from() == From::Initial {
            return self.take(worker, has, Vec::new());
        }
        if start.source as usize == rank {
            let reports = self.trainer(worker).part.as_ref().map(|part| part.entry.reports.clone()).unwrap_or_default();
            self.groups[group].payload = has.clone().map(|state| (state, reports));
            self.let_members(group, |other| other != rank, 40, Work::Shared);
            return self.take(worker, has, Vec::new());
        }
        if let Some(stage) = self.trainer(worker).stage() {
            *stage = Stage::Sharing(has);
        }
        if self.groups[group].payload.is_some() {
            self.compute_later(worker, 5, Work::Shared);
        }
    }

    /// What a member has of the state by itself.
    fn has(&mut self, worker: usize, start: &wire::Start, rank: usize) -> Result<Option<State>, String> {
        let needed = start.source as usize == rank || !start.share;
        match start.from() {
            From::Initial => Ok(Some(State::default())),
            From::Memory => {
                let held = self.trainer(worker).state.clone();
                let found = held.filter(|held| held.step == start.step && held.digest() == start.digest);
                match found {
                    Some(state) => Ok(Some(state)),
                    None if needed => {
                        self.inspect_missing(worker, start);
                        Err(format!("it should hold step {} with digest {}", start.step, start.digest))
                    }
                    None => Ok(None),
                }
            }
            From::Checkpoint if !needed => Ok(None),
            From::Checkpoint => {
                let read = self.disk.read(&start.checkpoint);
                read.map(Some).map_err(|reason| format!("cannot start from a checkpoint: {reason}"))
            }
        }
    }

    /// The source's state has come; who has it keeps its own.
    fn shared(&mut self, worker: usize) {
        let Some(Stage::Sharing(has)) = self.trainer(worker).stage() else { return };
        let has = has.take();
        let Some(group) = self.trainer(worker).part.as_ref().map(|part| part.group) else { return };
        let Some((state, reports)) = self.groups[group].payload.clone() else { return };
        match has {
            Some(state) => self.take(worker, Some(state), Vec::new()),
            None => self.take(worker, Some(state), reports),
        }
    }

    /// The state that all start from, if it is the one that was meant.
    fn take(&mut self, worker: usize, state: Option<State>, reports: Vec<wire::Report>) {
        let Some(part) = &self.workers[worker].trainer.part else { return };
        let start = part.entry.begin.start.clone().unwrap_or_default();
        let right =
            |state: &State| state.step == start.step && (start.digest.is_empty() || state.digest() == start.digest);
        let Some(state) = state.filter(right) else {
            return self.leave(worker, "the state to start from is another".into(), None);
        };
        let (group, recorded) = (part.group, part.entry.begin.recorded_step);
        self.inspect_ready(group, &state);
        let rows = state.ledger.rows().to_vec();
        let step = state.step;
        let reported = if step > recorded { step - 1 } else { step };
        self.says(worker, TrainerEvent::Ready(Box::new(Ready { held: state.held(), rows, reported, reports })));
        let trainer = self.trainer(worker);
        trainer.state = Some(state);
        if let Some(part) = &mut trainer.part {
            part.ready = true;
            (part.reported, part.told) = (reported, reported);
        }
        if step > reported { self.evaluate_if_due(worker, 0) } else { self.boundary(worker) }
    }

    /// Between two steps.
    fn boundary(&mut self, worker: usize) {
        self.obey_tasks(worker);
        if self.trainer(worker).step() == self.plan.job.steps {
            return self.complete(worker);
        }
        let now = self.now;
        let due = |part: &Part| part.changed.is_some() && now >= part.handed + HAND_OVER_EVERY;
        if self.trainer(worker).part.as_ref().is_some_and(due) {
            self.hand_over(worker);
        }
        self.phase(worker, LANES_PHASE);
        if let Some(part) = &mut self.trainer(worker).part {
            part.stage = Stage::Lanes(part.flags);
        }
        let (from, to) = self.plan.lanes_take;
        let takes = self.random.within(from, to);
        self.compute_later(worker, takes, Work::Lanes);
    }

    /// The lanes are done: they are contributed.
    fn lanes_done(&mut self, worker: usize) {
        let trainer = &mut self.workers[worker].trainer;
        let Some(part) = &mut trainer.part else { return };
        let Stage::Lanes(flags) = part.stage else { return };
        let (group, rank) = (part.group, part.rank);
        part.stage = Stage::Reducing;
        if let Some(lost) = part.lost {
            return self.leave(worker, format!("rank {lost} is lost"), Some(lost));
        }
        let (step, wrong) = (trainer.step(), trainer.wrong);
        let own = trainer.state.as_ref().map_or(0, |state| state.taint);
        let taint = if wrong == Wrong::Gradients { hash(own ^ worker as u64) | 1 } else { own };
        self.replay(worker, step + 1, taint);
        self.phase(worker, REDUCE);
        let arrived = self.contribute(group, rank, Contribution { step, flags, taint });
        let all = (1u64 << self.groups[group].members.len()) - 1;
        if self.bug == Some(Bug::CommitsEarly) && arrived != all && self.random.chance(20) {
            self.apply(worker, flags, hash(arrived) | 1);
        }
    }

    /// A lane of a step that several compute, now and then.
    fn replay(&mut self, worker: usize, step: u64, taint: u64) {
        if !step.is_multiple_of(self.plan.job.replay_every) {
            return;
        }
        let Some(part) = &self.workers[worker].trainer.part else { return };
        let begin = &part.entry.begin;
        let shares: Vec<u32> = begin.members.iter().map(|member| member.lanes).collect();
        let lane = (hash(step) % u64::from(LANES)) as u32;
        let Some(owner) = plays(&shares, part.rank, lane, hash(step)) else { return };
        let digest = if taint == 0 { format!("l{step}") } else { format!("l{step}-{taint:x}") };
        let generation = begin.generation.clone();
        let said = wire::LaneDigest { generation, step, lane, owner, digest };
        self.says(worker, TrainerEvent::LaneDigest(Box::new(said)));
    }

    /// The reduction is whole.
    fn commit(&mut self, worker: usize) {
        let trainer = &mut self.workers[worker].trainer;
        let step = trainer.step();
        let Some(part) = trainer.part.as_ref().filter(|part| matches!(part.stage, Stage::Reducing)) else { return };
        let Some(&reduction) = self.groups[part.group].reduction(step).filter(|reduction| reduction.done) else {
            return;
        };
        self.apply(worker, reduction.flags, reduction.taint);
    }

    /// The update, and what is told behind it.
    fn apply(&mut self, worker: usize, flags: u64, taint: u64) {
        let now = self.now;
        let trainer = &mut self.workers[worker].trainer;
        trainer.enter_phase(now, COMMIT);
        let wrong = trainer.wrong;
        let (Some(state), Some(part)) = (&mut trainer.state, &mut trainer.part) else { return };
        let number = self.groups[part.group].generation.number;
        if state.taint != 0 || taint != 0 {
            state.taint = hash(state.taint ^ hash(taint ^ state.step)) | 1;
        }
        if wrong == Wrong::Memory {
            state.taint = hash(state.taint ^ hash(worker as u64)) | 1;
        }
        // A step of one epoch follows the one before.
        let _ = state.ledger.add(self.plan.job.row(state.step, 1, number));
        state.step += 1;
        let last = state.ledger.rows().len() - 1;
        part.changed = Some(part.changed.map_or(last, |first| first.min(last)));
        let step = state.step;
        if self.plan.job.reports(step) {
            part.reports.push(reports::step(step, (step - 1) / self.plan.job.epoch));
        }
        let (rank, group, members) = (part.rank, part.group, part.entry.begin.members.len());
        if step.is_multiple_of(self.plan.job.digest_every) && members > 1 {
            self.tell_digest(worker);
        }
        self.inspect_commit(worker, group);
        if rank == 0 && step.is_multiple_of(self.plan.job.checkpoint_every) {
            self.write(worker, false);
        }
        self.evaluate_if_due(worker, flags);
    }

    /// The evaluation behind the newest step, if there is one, and what comes behind it.
    fn evaluate_if_due(&mut self, worker: usize, flags: u64) {
        let step = self.trainer(worker).step();
        if !step.is_multiple_of(self.plan.job.epoch) {
            return self.stop_or_go_on(worker, flags);
        }
        self.phase(worker, EVALUATE);
        self.set_stage(worker, Stage::Evaluating(flags));
        let takes = self.random.within(1, 100);
        self.compute_later(worker, takes, Work::Evaluated);
    }

    /// The evaluation is done.
    fn evaluated(&mut self, worker: usize) {
        let (epoch, trainer) = (self.plan.job.epoch, &mut self.workers[worker].trainer);
        let step = trainer.step();
        let Some(part) = &mut trainer.part else { return };
        let Stage::Evaluating(flags) = part.stage else { return };
        part.reports.push(reports::evaluation(step, step / epoch));
        part.reported = step;
        self.hand_over(worker);
        self.stop_or_go_on(worker, flags);
    }

    /// Behind a step and its evaluation.
    fn stop_or_go_on(&mut self, worker: usize, flags: u64) {
        let step = self.trainer(worker).step();
        if let Some(part) = &mut self.trainer(worker).part {
            part.reported = step;
        }
        match reports::stop_reason(flags) {
            Some(StopReason::Regrouped) if step == self.plan.job.steps => self.boundary(worker),
            Some(why) => self.stop(worker, why),
            None => self.boundary(worker),
        }
    }

    fn tell_digest(&mut self, worker: usize) {
        let trainer = &self.workers[worker].trainer;
        let (Some(state), Some(part)) = (&trainer.state, &trainer.part) else { return };
        let said = wire::StateDigest {
            generation: part.entry.begin.generation.clone(),
            step: state.step,
            names: vec!["weights".into()],
            digests: vec![state.digest()],
        };
        self.says(worker, TrainerEvent::StateDigest(Box::new(said)));
    }

    /// All steps are done.
    fn complete(&mut self, worker: usize) {
        self.hand_over(worker);
        self.save_and_end(worker, "completed");
    }

    /// A stop that was wanted: what is to be gone on with is on disk first.
    fn stop(&mut self, worker: usize, why: StopReason) {
        let speaks = self.trainer(worker).part.as_ref().is_some_and(|part| part.rank == 0);
        if matches!(why, StopReason::Interrupted | StopReason::Paused) && speaks {
            self.hand_over(worker);
            self.write(worker, true);
            return self.save_and_end(worker, why.name());
        }
        self.set_stage(worker, Stage::Ending(why.name()));
        self.compute_later(worker, 1, Work::End);
    }

    fn set_stage(&mut self, worker: usize, stage: Stage) {
        if let Some(own) = self.trainer(worker).stage() {
            *own = stage;
        }
    }

    fn save_and_end(&mut self, worker: usize, why: &'static str) {
        self.phase(worker, CHECKPOINT);
        self.set_stage(worker, Stage::Saving(why));
        self.end_if_saved(worker);
    }

    /// Ends a part that waited for its checkpoints; a completed one does not wait for room.
    fn end_if_saved(&mut self, worker: usize) {
        let trainer = self.trainer(worker);
        let (saved, full) = (trainer.writes.is_empty(), trainer.full);
        let Some(Stage::Saving(why)) = trainer.stage() else { return };
        let why = *why;
        if saved || (full && why == "completed") {
            self.set_stage(worker, Stage::Ending(why));
            let takes = self.random.within(1, 40);
            self.compute_later(worker, takes, Work::End);
        }
    }

    /// The generation ended after a step, on all ranks alike.
    fn finish(&mut self, worker: usize) {
        self.hand_over(worker);
        let epoch = self.plan.job.epoch;
        let trainer = &mut self.workers[worker].trainer;
        let (Some(state), Some(part)) = (&trainer.state, &trainer.part) else { return };
        let (Stage::Ending(why) | Stage::Saving(why)) = part.stage else { return };
        let completed = why == "completed";
        let sha256 = crate::model::weights(state);
        let outcome = wire::Outcome {
            stop_reason: why.into(),
            steps: state.step,
            epochs: state.step / epoch,
            samples: state.step * BATCH,
            seconds: 1.0,
            train_loss: state.step as f64 + state.taint as f64,
            weights_sha256: if completed { sha256.clone() } else { String::new() },
            ..Default::default()
        };
        let weights = (completed && part.rank == 0)
            .then(|| lockstep_worker::control::Weights(std::sync::Arc::new(sha256.into_bytes())));
        let held = state.held();
        self.part_is_over(worker);
        self.says(worker, TrainerEvent::Finished { held, outcome: Box::new(outcome), weights });
    }

    fn part_is_over(&mut self, worker: usize) {
        self.phase(worker, IDLE);
        let trainer = self.trainer(worker);
        trainer.parts += 1;
        trainer.part = None;
        self.obey_tasks(worker);
    }

    /// Out of the generation, without the others' consent.
    fn leave(&mut self, worker: usize, cause: String, lost_rank: Option<u32>) {
        self.hand_over(worker);
        let Some(part) = &self.trainer(worker).part else { return };
        let (group, rank) = (part.group, part.rank);
        self.part_is_over(worker);
        self.gone_from_group(group, rank);
        let held = self.trainer(worker).state.as_ref().map(State::held);
        self.says(worker, TrainerEvent::Left { held, cause, lost_rank, recent: Vec::new() });
    }

    /// Its process is gone.
    pub(crate) fn drop_out(&mut self, worker: usize) {
        if let Some(part) = self.trainer(worker).part.take() {
            self.gone_from_group(part.group, part.rank);
        }
    }

    fn peer_lost(&mut self, worker: usize, rank: u32) {
        let step = self.trainer(worker).step();
        let Some(part) = &mut self.workers[worker].trainer.part else { return };
        match part.stage {
            Stage::Lanes(_) => part.lost = Some(rank),
            Stage::Reducing => {
                let done = self.groups[part.group].reduction(step).is_some_and(|reduction| reduction.done);
                if done && self.random.chance(50) {
                    // It had all that it needs.
                    part.lost = Some(rank);
                    return self.commit(worker);
                }
                self.leave(worker, format!("rank {rank} is lost"), Some(rank));
            }
            // It had all that it needs.
            Stage::Evaluating(_) if self.random.chance(50) => part.lost = Some(rank),
            Stage::Evaluating(_) => self.leave(worker, format!("rank {rank} is lost"), Some(rank)),
            Stage::Meeting | Stage::Sharing(_) => self.leave(worker, format!("rank {rank} is lost"), Some(rank)),
            Stage::Saving(_) | Stage::Ending(_) => {}
        }
    }

    /// It sees that it is to leave.
    fn aborted(&mut self, worker: usize) {
        let Some(part) = &self.workers[worker].trainer.part else { return };
        match part.stage {
            // What follows needs nobody.
            Stage::Saving(_) | Stage::Ending(_) => self.finish(worker),
            Stage::Reducing if self.random.chance(50) => {
                // It may have had all that it needs.
                self.commit(worker);
                match self.trainer(worker).stage() {
                    Some(Stage::Saving(_) | Stage::Ending(_)) => self.finish(worker),
                    _ => self.leave(worker, "aborted".into(), None),
                }
            }
            Stage::Meeting | Stage::Sharing(_) | Stage::Lanes(_) | Stage::Reducing | Stage::Evaluating(_) => {
                self.leave(worker, "aborted".into(), None);
            }
        }
    }

    /// Control wants this generation to be left at once.
    pub(crate) fn abort_trainer(&mut self, worker: usize, generation: Generation) {
        if self.is_in_generation(worker, generation) {
            let sees = self.random.within(1, 20);
            self.compute_later(worker, sees, Work::Abort);
        }
    }

    /// Control wants this generation to stop after a step.
    pub(crate) fn want_stop(&mut self, worker: usize, generation: Generation, why: StopReason) {
        if self.is_in_generation(worker, generation)
            && let Some(part) = &mut self.trainer(worker).part
        {
            part.flags |= reports::flag(why);
        }
    }

    fn is_in_generation(&self, worker: usize, generation: Generation) -> bool {
        let part = self.workers[worker].trainer.part.as_ref();
        part.is_some_and(|part| part.entry.generation == generation)
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

    /// Has the state written; one that does not have to be gives way to a newer one.
    fn write(&mut self, worker: usize, wanted: bool) {
        let trainer = self.trainer(worker);
        let Some(state) = trainer.state.clone() else { return };
        let idle = trainer.writes.is_empty();
        let mut place = 0;
        trainer.writes.retain(|(_, wanted)| {
            place += 1;
            *wanted || place == 1
        });
        trainer.writes.push_back((state, wanted));
        if idle {
            let takes = self.random.within(5, 600);
            self.later(takes, Action::Writes { worker });
        }
    }

    /// The first of the writes is done, or finds no room.
    pub(crate) fn writes(&mut self, worker: usize) {
        if self.disk.full {
            let Some(step) = self.trainer(worker).writes.front().map(|(state, _)| state.step) else { return };
            if !std::mem::replace(&mut self.trainer(worker).full, true) {
                let failed = wire::CheckpointFailed { step, reason: "no space left on device".into(), full: true };
                self.says(worker, TrainerEvent::CheckpointFailed(Box::new(failed)));
            }
            self.later(RETRY, Action::Writes { worker });
            return self.end_if_saved(worker);
        }
        let Some((state, _)) = self.trainer(worker).writes.pop_front() else { return };
        self.trainer(worker).full = false;
        let wire::Held { step, digest } = state.held();
        let name = self.disk.write(state);
        let written = wire::CheckpointWritten { step, name, digest, bytes: 1, seconds: 0.1, dir: "c".into() };
        self.says(worker, TrainerEvent::CheckpointWritten(Box::new(written)));
        if !self.trainer(worker).writes.is_empty() {
            let takes = self.random.within(5, 600);
            self.later(takes, Action::Writes { worker });
        }
        self.end_if_saved(worker);
    }
}

/// Whether a rank holds the lane that several compute, or computes it a second time; nothing if neither.
fn plays(shares: &[u32], rank: usize, lane: u32, turn: u64) -> Option<bool> {
    let mut end = 0;
    let owner = shares.iter().position(|share| {
        end += share;
        lane < end
    })?;
    let others: Vec<usize> = (0..shares.len()).filter(|&other| shares[other] > 0 && other != owner).collect();
    if rank == owner {
        return (!others.is_empty()).then_some(true);
    }
    let place = others.iter().position(|&other| other == rank)?;
    let first = (turn % others.len() as u64) as usize;
    ((place + others.len() - first) % others.len() < 2).then_some(false)
}
