//! Checkpoints: which there are, which are kept, and from which a job may go on.

use std::collections::BTreeSet;

use lockstep_proto::identity::WorkerId;
use lockstep_proto::job::Measure;

use super::team::{Hold, Room, Seat, Stage, Team};
use super::{Job, Turn};
use crate::cluster::command::{Command, From, Refusal};
use crate::cluster::event::Ticket;
use crate::cluster::facts::{CheckpointFact, EvaluationReport, Held};

impl Job {
    /// A user wants a checkpoint: rank 0 writes one at the next step boundary.
    pub(in crate::cluster) fn want_checkpoint(
        &mut self,
        ticket: Ticket,
        out: &mut Vec<Command>,
    ) -> Result<(), Refusal> {
        let writer = self.state.team().and_then(|team| {
            let current = team.current.as_ref().filter(|current| current.ready && current.stage == Stage::Going)?;
            current.members.first().cloned()
        });
        let Some(worker) = writer else {
            let problem = "a checkpoint can be asked for while it is running".to_owned();
            return Err(Refusal::NotNow { job: self.id.clone(), state: self.state.name().as_str(), problem });
        };
        self.checkpoint_tickets.push(ticket);
        out.push(Command::WriteCheckpoint { worker });
        Ok(())
    }

    /// Who was to write a checkpoint may be gone: rank 0 of the generation that begins is told.
    pub(super) fn ask_for_checkpoint_again(&self, team: &Team, turn: &mut Turn<'_>) {
        let writer = team.current.as_ref().and_then(|current| current.members.first());
        if let Some(worker) = writer.filter(|_| !self.checkpoint_tickets.is_empty()) {
            turn.orders.push(Command::WriteCheckpoint { worker: worker.clone() });
        }
    }

    /// The job has no workers any more: nobody will write one.
    pub(super) fn refuse_checkpoints(&mut self, turn: &mut Turn<'_>) {
        for ticket in self.checkpoint_tickets.drain(..) {
            let problem = "its workers are gone".to_owned();
            let refusal = Refusal::NotNow { job: self.id.clone(), state: "paused", problem };
            turn.orders.push(Command::AnswerCheckpoint { ticket, job: self.id.clone(), answer: Err(refusal) });
        }
    }

    /// A signal wants a checkpoint; nobody waits for it.
    pub(in crate::cluster) fn checkpoint_now(&self, out: &mut Vec<Command>) {
        let current = self.state.team().and_then(|team| team.current.as_ref());
        if let Some(worker) = current.and_then(|current| current.members.first()) {
            out.push(Command::WriteCheckpoint { worker: worker.clone() });
        }
    }

    /// A checkpoint is on disk: it is remembered, and older ones may go.
    pub(super) fn checkpoint_written(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        checkpoint: CheckpointFact,
        turn: &mut Turn<'_>,
    ) {
        if team.hold.as_ref().and_then(Hold::writer) == Some(worker) {
            team.hold = None;
            self.log(vec!["there is room for checkpoints again".into()], turn);
        }
        if self.integrity.doubts(&checkpoint.name, checkpoint.step) {
            self.log(vec![format!("checkpoint {} is deleted: its state is in doubt", checkpoint.name)], turn);
            turn.orders.push(Command::DeleteCheckpoints { worker: worker.clone(), names: vec![checkpoint.name] });
            return;
        }
        for ticket in self.checkpoint_tickets.drain(..) {
            let (job, answer) = (self.id.clone(), Ok(checkpoint.clone()));
            turn.orders.push(Command::AnswerCheckpoint { ticket, job, answer });
        }
        self.checkpoints.retain(|known| known.name != checkpoint.name);
        self.checkpoints.push(checkpoint);
        self.checkpoints.sort_by_key(|known| known.step);
        let doomed = self.superseded();
        if !doomed.is_empty() {
            self.checkpoints.retain(|known| !doomed.contains(&known.name));
            let names = doomed.into_iter().collect();
            turn.orders.push(Command::DeleteCheckpoints { worker: worker.clone(), names });
        }
        self.save_checkpoints(turn);
    }

    fn save_checkpoints(&self, turn: &mut Turn<'_>) {
        let checkpoints = self.checkpoints.clone();
        turn.records.push(Command::SaveCheckpoints { job: self.id.clone(), checkpoints });
    }

    /// Names of checkpoints that no rule keeps: all in the newest's folder but the last few, those at multiples, and
    /// the best.
    fn superseded(&self) -> BTreeSet<String> {
        let keep = &self.spec.checkpoint;
        let Some(newest) = self.checkpoints.last() else { return BTreeSet::new() };
        let mut ours: Vec<&CheckpointFact> = self.checkpoints.iter().filter(|known| known.dir == newest.dir).collect();
        let old = ours.len().saturating_sub(keep.keep_last as usize);
        ours.truncate(old);
        let best = self.best_step();
        let goes = |known: &&CheckpointFact| {
            let multiple = keep.keep_every > 0 && known.step.is_multiple_of(keep.keep_every);
            !multiple && Some(known.step) != best
        };
        ours.into_iter().filter(goes).map(|known| known.name.clone()).collect()
    }

    /// The step of the checkpoint with the best evaluation.
    fn best_step(&self) -> Option<u64> {
        let measure = self.spec.checkpoint.keep_best;
        let score = |evaluation: &EvaluationReport| match measure {
            Measure::None => f64::NAN,
            Measure::Loss => -evaluation.loss,
            Measure::Accuracy => evaluation.accuracy,
        };
        let has = |step: u64| self.checkpoints.iter().any(|known| known.step == step);
        let scored = self.progress.evaluations.iter().filter(|evaluation| has(evaluation.step));
        let scored =
            scored.map(|evaluation| (score(evaluation), evaluation.step)).filter(|(score, _)| score.is_finite());
        // Of equal ones the first.
        let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        Some(best.1)
    }

    /// A checkpoint could not be written. For want of room the job stops after the step in flight until there is some.
    pub(super) fn checkpoint_failed(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        (step, reason, full): (u64, String, bool),
        turn: &mut Turn<'_>,
    ) {
        let name = team.name(worker);
        let reason = format!("{name} could not write the checkpoint of step {step}: {reason}");
        self.log(vec![reason.clone()], turn);
        let state = team.state_name().as_str();
        for ticket in self.checkpoint_tickets.drain(..) {
            let refusal = Refusal::NotNow { job: self.id.clone(), state, problem: reason.clone() };
            turn.orders.push(Command::AnswerCheckpoint { ticket, job: self.id.clone(), answer: Err(refusal) });
        }
        if full {
            self.reason = format!("{reason}: goes on when there is room");
            let until = Room::Written(worker.clone());
            team.hold = Some(Hold { reason: self.reason.clone(), until });
        } else {
            self.reason = reason;
        }
    }

    /// The newest checkpoint that one of these can read, and the rank that can.
    pub(super) fn newest_checkpoint<'a>(
        &self,
        seats: impl Iterator<Item = (u32, &'a Seat)>,
    ) -> Option<(Held, String, u32)> {
        let mut found: Option<(Held, String, u32)> = None;
        let mut offer = |held: &Held, name: &str, rank: u32| {
            let doubted = !self.integrity.trusts(held.step) || self.integrity.doubts(name, held.step);
            let trusted = !doubted && !self.unusable.contains(name);
            if trusted && found.as_ref().is_none_or(|(newest, ..)| newest.step < held.step) {
                found = Some((held.clone(), name.to_owned(), rank));
            }
        };
        for (rank, seat) in seats {
            if let Some((held, name)) = seat.prepared.as_ref().and_then(|prepared| prepared.checkpoint.as_ref()) {
                offer(held, name, rank);
            }
        }
        // What the members saw when they came up may be older than what was written since.
        for known in &self.checkpoints {
            offer(&Held { step: known.step, digest: known.digest.clone() }, &known.name, 0);
        }
        found
    }

    /// The source of a generation could not read the checkpoint that it was to begin from: it is not counted on any
    /// more, and the one before it is next.
    pub(super) fn forget_unreadable(&mut self, team: &mut Team, worker: &WorkerId, turn: &mut Turn<'_>) {
        let Some(current) = team.current.as_ref().filter(|current| !current.ready) else { return };
        let Some((From::Checkpoint(name), source)) = current.start.clone() else { return };
        if current.members.get(source as usize) != Some(worker) {
            return;
        }
        self.log(vec![format!("checkpoint {name} can't be read: the one before it is taken")], turn);
        self.checkpoints.retain(|known| known.name != name);
        self.unusable.insert(name);
        self.save_checkpoints(turn);
    }

    /// Checkpoints above a step are in doubt: they are deleted.
    pub(super) fn doubt_checkpoints_above(&mut self, team: &mut Team, step: u64, turn: &mut Turn<'_>) {
        let (kept, doubted): (Vec<_>, Vec<_>) = self.checkpoints.drain(..).partition(|known| known.step <= step);
        self.checkpoints = kept;
        // Also those that were found on disk and never told of.
        let found = team.seats.iter().filter_map(|seat| seat.prepared.as_ref()?.checkpoint.as_ref());
        let found = found.filter(|(held, _)| held.step > step).map(|(_, name)| name.clone());
        self.unusable.extend(doubted.iter().map(|known| known.name.clone()).chain(found));
        let writer = team.seats.iter().find(|seat| seat.connected()).map(|seat| seat.worker.clone());
        if let Some(worker) = writer.filter(|_| !doubted.is_empty()) {
            let names = doubted.into_iter().map(|known| known.name).collect();
            turn.orders.push(Command::DeleteCheckpoints { worker, names });
        }
        self.save_checkpoints(turn);
    }
}
