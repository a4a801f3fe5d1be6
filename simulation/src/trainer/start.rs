//! Into a generation: members meet, and take the state that all start from.

use lockstep_proto::identity::Generation;
use lockstep_proto::wire::{self, start::From};
use lockstep_worker::control::{Entry, Ready, TrainerEvent};

use super::{Part, START, Stage, Work};
use crate::model::State;
use crate::world::World;

/// How long members wait for each other.
const MEET_WITHIN: u64 = 30_000;

impl World {
    /// Into a generation.
    pub(super) fn enter(&mut self, worker: usize, entry: Box<Entry>) {
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
    pub(super) fn connected(&mut self, worker: usize) {
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
        self.set_stage(worker, Stage::Sharing(has));
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
    pub(super) fn shared(&mut self, worker: usize) {
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
    pub(super) fn take(&mut self, worker: usize, state: Option<State>, reports: Vec<wire::Report>) {
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
}
