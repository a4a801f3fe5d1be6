//! What follows from who is there: a generation ends when its last member has left it, is asked to stop when
//! something is to change, and the next begins as soon as it can.

use std::time::Duration;

use lockstep_proto::identity::WorkerId;

use super::team::{Hold, Seat, Stage, Team};
use super::{Job, State, Turn};
use crate::cluster::command::Command;
use crate::cluster::facts::{Outcome, StopReason};
use crate::cluster::time::Timestamp;
use crate::cluster::timeouts::GATHER;

impl Job {
    /// Does what follows; gives what the job is then.
    pub(super) fn settle(&mut self, mut team: Box<Team>, turn: &mut Turn<'_>) -> State {
        if let Some(ended) = self.close_generation(&mut team, turn) {
            return ended;
        }
        if team.hold.as_ref().and_then(Hold::writer).is_some_and(|writer| team.seat(writer).is_none()) {
            // Nobody is left to tell of room: the next to write a checkpoint finds out.
            team.hold = None;
        }
        if team.current.is_some() {
            self.release(&mut team, turn);
            self.steer(&mut team, turn);
            return State::Active(team);
        }
        self.between(team, turn)
    }

    /// Ends the generation if all of its members have left it, and the job if that was what they ended for.
    fn close_generation(&mut self, team: &mut Team, turn: &mut Turn<'_>) -> Option<State> {
        let current = team.current.as_ref()?;
        if team.members().next().is_some() {
            return None;
        }
        if let Some(reason) = common_outcome(team) {
            let first = current.members.first().and_then(|worker| team.seat(worker));
            let outcome = first.and_then(|seat| seat.outcome.clone());
            let resumed = team.wish.is_none() && team.staying() > 0;
            match reason {
                StopReason::Completed | StopReason::Target | StopReason::Plateau | StopReason::Time => {
                    // Its weights were stored in an earlier life of the coordinator: it tells and stores once more.
                    let unseen = current.start.is_none() && stores_unseen(team);
                    // Somebody remembers wrongly, or reports were not recorded: it is done again, or said again.
                    if !unseen && self.is_whole(team) {
                        return Some(self.conclude(team, turn));
                    }
                }
                StopReason::Nonfinite => return Some(self.end_nonfinite(team, outcome, turn)),
                StopReason::Cancelled => return Some(self.end_cancelled(outcome, turn)),
                StopReason::Interrupted => {
                    let wish = team.wish.as_ref().map(|wish| wish.reason.clone()).unwrap_or_default();
                    return Some(self.end_interrupted(outcome, wish, turn));
                }
                StopReason::Paused if !resumed => return Some(self.paused(team, outcome, turn)),
                StopReason::Paused | StopReason::Regrouped => {}
            }
        }
        self.save_ledger(turn);
        team.current = None;
        team.seats.iter_mut().for_each(|seat| seat.outcome = None);
        None
    }

    /// Whether all ranks have come to the same state, and all that was told of the way there is recorded.
    fn is_whole(&self, team: &Team) -> bool {
        let Some(current) = &team.current else { return true };
        let mut held = current.members.iter().filter_map(|worker| team.seat(worker)?.held.as_ref());
        let Some(first) = held.next() else { return true };
        let same = held.all(|other| other.step != first.step || other.digest == first.digest);
        let number = Some(current.generation.number);
        same && self.progress.incomplete != number && self.progress.asked != number
    }

    /// A paused job gives its slots back; one whose last agent went waits for others instead.
    fn paused(&mut self, team: &Team, outcome: Option<Outcome>, turn: &mut Turn<'_>) -> State {
        let step = outcome.as_ref().map_or(self.progress.recorded_step, |outcome| outcome.steps);
        match &team.wish {
            // It came when all were about to pause: what it wants is on disk.
            Some(wish) if wish.why == StopReason::Cancelled => return self.end_cancelled(outcome, turn),
            Some(wish) if wish.why == StopReason::Interrupted => {
                return self.end_interrupted(outcome, wish.reason.clone(), turn);
            }
            Some(_) | None => {}
        }
        self.refuse_checkpoints(turn);
        self.losses.readmit();
        match &team.wish {
            Some(wish) => {
                self.reason = format!("{} after step {step}", wish.reason);
                State::Paused
            }
            None => {
                self.reason = format!("its agents left after step {step}: goes on when there are slots");
                State::Queued
            }
        }
    }

    /// A generation is under way: it is ended at once if somebody left it, and asked to stop if something is to change.
    fn steer(&mut self, team: &mut Team, turn: &mut Turn<'_>) {
        if is_broken(team) {
            let reason = self.reason.clone();
            return abort(team, reason, turn);
        }
        let Some(current) = &team.current else { return };
        // Whoever waits for room on a disk does not hear that it should stop.
        if !current.ready || team.hold.as_ref().is_some_and(|hold| hold.retry().is_none()) {
            let cancelled = team.wish.as_ref().filter(|wish| wish.why == StopReason::Cancelled);
            if let Some(reason) = cancelled.map(|wish| wish.reason.clone()) {
                return abort(team, reason, turn);
            }
        }
        let Some(current) = team.current.as_ref().filter(|current| current.ready) else { return };
        let Some(why) = self.stop_wanted(team, turn) else { return };
        let already = match &current.stage {
            Stage::Going => false,
            Stage::Stopping(other) => *other == why || (why == StopReason::Regrouped),
            Stage::Aborting(_) => true,
        };
        if !already {
            self.ask_to_stop(team, why, turn);
        }
    }

    /// Why the generation is to stop after a step, if it is.
    fn stop_wanted(&self, team: &Team, turn: &Turn<'_>) -> Option<StopReason> {
        if let Some(wish) = &team.wish {
            return Some(wish.why);
        }
        if team.hold.is_some() {
            return Some(StopReason::Regrouped);
        }
        let wanted = self.wanted();
        let staying = team.seats.iter().filter(|seat| seat.bound() && seat.leaving.is_none()).count();
        if staying == 0 {
            // Nobody would be left to hold the state.
            return Some(StopReason::Paused);
        }
        let newcomers = staying < wanted && newcomers_are_due(team, turn);
        let leavers = staying < team.seats.iter().filter(|seat| seat.bound()).count();
        (newcomers || leavers || staying > wanted || self.integrity.wants_other_deal()).then_some(StopReason::Regrouped)
    }

    fn ask_to_stop(&mut self, team: &mut Team, why: StopReason, turn: &mut Turn<'_>) {
        let Some(current) = &mut team.current else { return };
        current.stage = Stage::Stopping(why);
        let generation = current.generation;
        for worker in &current.members {
            turn.orders.push(Command::Stop { worker: worker.clone(), generation, why });
        }
        match &team.wish {
            Some(wish) => self.reason = format!("{}: stops after the step in flight", wish.reason),
            None => {
                self.log(vec![format!("generation {generation} ends after the step in flight: {}", why.as_str())], turn)
            }
        }
    }

    /// No generation is under way: the job ends, waits, or begins the next one.
    fn between(&mut self, mut team: Box<Team>, turn: &mut Turn<'_>) -> State {
        self.release(&mut team, turn);
        if let Some(wish) = team.wish.clone() {
            let unsaved = self.unsaved(&team);
            match wish.why {
                StopReason::Cancelled => return self.end_cancelled(None, turn),
                StopReason::Interrupted if !unsaved => return self.end_interrupted(None, wish.reason, turn),
                StopReason::Paused if !unsaved => return self.paused(&team, None, turn),
                // The state is in memory only: one more step, and a checkpoint of it.
                StopReason::Interrupted | StopReason::Paused => {}
                StopReason::Completed | StopReason::Target | StopReason::Plateau | StopReason::Time => {}
                StopReason::Regrouped | StopReason::Nonfinite => {}
            }
        }
        if team.seats.is_empty() {
            // A node that was given up may be all that there is.
            self.losses.readmit();
        }
        if team.hold.is_none() {
            self.begin_if_possible(&mut team, turn);
        }
        State::Active(team)
    }

    /// Whether members hold steps in memory that no checkpoint has.
    fn unsaved(&self, team: &Team) -> bool {
        let held = team.seats.iter().filter_map(|seat| seat.held.as_ref().map(|held| held.step)).max().unwrap_or(0);
        held > self.checkpoints.iter().map(|checkpoint| checkpoint.step).max().unwrap_or(0)
    }

    /// Lets go of workers that are to leave, and of those beyond what is wanted, but for members of the generation that
    /// is under way.
    fn release(&mut self, team: &mut Team, turn: &mut Turn<'_>) {
        let staying = team.seats.iter().filter(|seat| seat.bound() && seat.leaving.is_none()).count();
        let free = self.wanted().saturating_sub(staying);
        let mut kept = 0;
        team.seats.retain(|seat| {
            if seat.bound() {
                return true;
            }
            kept += usize::from(seat.leaving.is_none());
            let keep = seat.leaving.is_none() && kept <= free;
            if !keep {
                turn.dismissed.push(seat.worker.clone());
            }
            keep
        });
    }

    /// When time alone will change what [`Job::settle`] does: newcomers have waited long enough for others.
    pub(super) fn gather_deadline(&self, team: &Team) -> Option<Timestamp> {
        team.current.as_ref().filter(|current| current.ready && current.stage == Stage::Going)?;
        let staying = team.seats.iter().filter(|seat| seat.bound() && seat.leaving.is_none()).count();
        if staying >= self.wanted() {
            return None;
        }
        let idle = team.seats.iter().filter(|seat| seat.able()).map(|seat| seat.idle_since).min()?;
        Some(idle.plus(GATHER))
    }
}

/// Workers that are prepared wait to take part, and nobody who comes up is to be waited for.
fn newcomers_are_due(team: &Team, turn: &Turn<'_>) -> bool {
    let waits = |seat: &Seat| turn.now.since(seat.idle_since);
    let longest = team.seats.iter().filter(|seat| seat.able()).map(waits).max();
    let coming = team.seats.iter().any(Seat::coming);
    longest.is_some_and(|waits: Duration| !coming || waits >= GATHER)
}

/// Why all members' generation ended, if all agree.
fn common_outcome(team: &Team) -> Option<StopReason> {
    let current = team.current.as_ref()?;
    let reason = |worker: &WorkerId| Some(team.seat(worker)?.outcome.as_ref()?.stop_reason);
    let first = reason(current.members.first()?)?;
    current.members.iter().all(|worker| reason(worker) == Some(first)).then_some(first)
}

/// Whether somebody left the generation other than by finishing it.
fn is_broken(team: &Team) -> bool {
    let Some(current) = &team.current else { return false };
    let stay = team.seats.iter().filter(|seat| seat.bound()).count();
    stay < current.members.len()
}

/// Whether rank 0 tells of weights that this coordinator did not see being stored.
fn stores_unseen(team: &Team) -> bool {
    let first = team.current.as_ref().and_then(|current| team.seat(current.members.first()?));
    let told = first.and_then(|seat| seat.outcome.as_ref()).is_some_and(|outcome| !outcome.weights_sha256.is_empty());
    told && first.is_some_and(|seat| seat.weights_sha256.is_none())
}

/// Tells those who are still in the generation to leave it at once.
pub(super) fn abort(team: &mut Team, reason: String, turn: &mut Turn<'_>) {
    let Some(current) = &mut team.current else { return };
    if current.is_aborting() {
        return;
    }
    current.stage = Stage::Aborting(reason.clone());
    let generation = current.generation;
    for seat in team.seats.iter_mut().filter(|seat| seat.member) {
        seat.moved = turn.now;
        turn.orders.push(Command::Abort { worker: seat.worker.clone(), generation, reason: reason.clone() });
    }
}
