//! What users and signals want of a job that has workers.

use super::team::{Hold, Room, Team, Wanted};
use super::{Job, State, Turn, settle};
use crate::cluster::command::Command;
use crate::cluster::event::{Failure, Wish};
use crate::cluster::facts::StopReason;
use crate::cluster::timeouts::RETRY;

impl Job {
    /// A user wants something. What makes no sense now was refused before.
    pub(super) fn asked(&mut self, team: &mut Team, wish: Wish, turn: &mut Turn<'_>) {
        match wish {
            Wish::Cancel => want(team, StopReason::Cancelled, "cancelled by a user"),
            Wish::Pause => want(team, StopReason::Paused, "paused by a user"),
            Wish::Resume => {
                if team.wish.as_ref().is_some_and(|wish| wish.why == StopReason::Paused) {
                    team.wish = None;
                }
                team.hold = None;
                self.reason = "resumed by a user".into();
            }
            Wish::Scale(_) | Wish::Checkpoint => {}
        }
        if let Some(wish) = &team.wish {
            self.reason = format!("{}: stops after the step in flight", wish.reason);
        }
        let _ = turn;
    }

    /// Another number of workers with lanes, from the next step boundary on.
    pub(in crate::cluster) fn scale(&mut self, workers: u32, out: &mut Vec<Command>) {
        self.reason = format!("scaled from {} to {workers} workers by a user", self.workers);
        self.workers = workers;
        out.push(Command::SaveJob { record: Box::new(self.record()) });
        out.push(Command::Notify { job: self.id.clone(), reason: Some(self.reason.clone()) });
    }

    /// A signal wants it to end; a second one does not wait for the step in flight. The state, if that ends it now.
    pub(super) fn interrupted(&mut self, team: &mut Team, reason: String, turn: &mut Turn<'_>) -> Option<State> {
        if team.wish.as_ref().is_some_and(|wish| wish.why == StopReason::Interrupted) {
            settle::abort(team, reason.clone(), turn);
            return Some(self.end_interrupted(None, format!("{reason} twice"), turn));
        }
        want(team, StopReason::Interrupted, &reason);
        self.reason = format!("{reason}: stops after the step in flight");
        None
    }

    /// A record could not be made durable. For want of room the job stops after the step in flight, and goes on when
    /// there is some.
    pub(super) fn storage_failed(
        &mut self,
        team: &mut Team,
        cause: String,
        full: bool,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        if !full {
            return Some(Failure { reason: cause, bad_input: false, diverged: None });
        }
        self.forget_unrecorded();
        self.reason = format!("the coordinator's disk is full: {cause}: goes on when there is room");
        let until = Room::Retry(turn.now.plus(RETRY));
        team.hold = Some(Hold { reason: self.reason.clone(), until });
        None
    }

    /// Goes on if nothing more is said against it; what could not be recorded is said again in the next generation.
    pub(super) fn retry_storage(&mut self, team: &mut Team, turn: &mut Turn<'_>) {
        let due = team.hold.as_ref().and_then(Hold::retry).is_some_and(|retry| turn.now >= retry);
        if !due {
            return;
        }
        team.hold = None;
        self.reason = "tries whether there is room on the coordinator's disk".into();
        self.save_run(turn);
    }
}

/// A wish goes before a weaker one: a signal before a cancellation before a pause.
fn want(team: &mut Team, why: StopReason, reason: &str) {
    let weight = |why: StopReason| match why {
        StopReason::Interrupted => 3,
        StopReason::Cancelled => 2,
        StopReason::Paused => 1,
        StopReason::Completed | StopReason::Target | StopReason::Plateau | StopReason::Time => 0,
        StopReason::Regrouped | StopReason::Nonfinite => 0,
    };
    if team.wish.as_ref().is_none_or(|wish| weight(wish.why) < weight(why)) {
        team.wish = Some(Wanted { why, reason: reason.to_owned() });
    }
}
