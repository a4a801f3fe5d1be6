//! The table: `(state, event)` → next state, for one job.

use super::state::{JobEvent, State};
use super::team::{Team, Wanted};
use super::{Job, Turn};
use crate::cluster::command::Command;
use crate::cluster::event::{Failure, Wish};
use crate::cluster::facts::StopReason;

impl Job {
    /// Lets something happen to the job. A changed state or membership is recorded before any order goes out; a reason
    /// that changes without it is only told.
    pub(in crate::cluster) fn step(&mut self, turn: &mut Turn<'_>, event: JobEvent) {
        let name = self.state.name();
        let generation = self.state.generation();
        let reason = self.reason.clone();
        let comes = matches!(event, JobEvent::Joined { .. });
        if !matches!(event, JobEvent::StorageFailed { .. }) {
            // A failure is told before anything else happens.
            self.progress.batch = None;
        }
        let state = std::mem::replace(&mut self.state, State::Queued);
        self.state = self.next(state, event, turn);
        let regrouped = generation != self.state.generation();
        if let Some(team) = self.state.team().filter(|team| team.current.is_some() && (comes || regrouped)) {
            self.placements = team.placements();
        }
        if name != self.state.name() || regrouped {
            turn.records.push(Command::SaveJob { record: Box::new(self.record()) });
        }
        if name != self.state.name() || reason != self.reason {
            let reason = Some(self.reason.clone());
            turn.records.push(Command::Notify { job: self.id.clone(), reason });
        }
    }

    fn next(&mut self, state: State, event: JobEvent, turn: &mut Turn<'_>) -> State {
        use JobEvent as E;
        match (state, event) {
            (State::Queued, E::Allotted(seats)) => self.start(seats, turn),
            (State::Queued, E::Asked(Wish::Pause)) => {
                self.reason = "paused by a user while queued".into();
                State::Paused
            }
            (State::Paused, E::Asked(Wish::Resume)) => {
                self.reason = "resumed by a user".into();
                State::Queued
            }
            (State::Queued | State::Paused, E::Asked(Wish::Cancel)) => self.end_cancelled(None, turn),
            (State::Queued | State::Paused, E::Interrupted { reason }) => self.end_interrupted(None, reason, turn),
            // A worker that forgot to be told: the job was taken over from it.
            (State::Queued, E::Joined { connection, hello }) => self.adopt(connection, *hello, None, turn),
            (State::Paused, E::Joined { connection, hello }) => {
                let wish = Wanted { why: StopReason::Paused, reason: "paused by a user".into() };
                self.adopt(connection, *hello, Some(wish), turn)
            }
            // A job that never ran and has no folder never will; whoever handed it in was told.
            (State::Queued, E::StorageFailed { cause, .. }) if self.highest_generation == 0 => {
                let failure = Failure { reason: cause, bad_input: false, diverged: None };
                self.end_failed(&Team::new(Vec::new(), turn.now), failure, turn)
            }
            (
                state @ (State::Queued
                | State::Paused
                | State::Completed(_)
                | State::Failed(_)
                | State::Cancelled(_)
                | State::Interrupted(_)),
                E::StorageFailed { cause, .. },
            ) => {
                self.log(vec![cause], turn);
                state
            }
            (State::Active(team), event) => self.active(team, event, turn),
            (
                state @ (State::Queued
                | State::Paused
                | State::Completed(_)
                | State::Failed(_)
                | State::Cancelled(_)
                | State::Interrupted(_)),
                // Workers of a job that has none any more go as they may; whatever else they say is too late.
                E::Allotted(_)
                | E::Joined { .. }
                | E::Disconnected { .. }
                | E::Gone { .. }
                | E::Told { .. }
                | E::Stored { .. }
                | E::NodeLeaves { .. }
                | E::Asked(_)
                | E::Interrupted { .. }
                | E::Tick,
            ) => state,
        }
    }

    /// What happens to a job that has workers: first what is known of them changes, then what follows is done.
    fn active(&mut self, mut team: Box<Team>, event: JobEvent, turn: &mut Turn<'_>) -> State {
        use JobEvent as E;
        let failed = match event {
            E::Allotted(seats) => {
                self.start_more(&mut team, seats, turn);
                None
            }
            E::Joined { connection, hello } => self.joined(&mut team, connection, *hello, turn),
            E::Disconnected { worker, cause } => {
                self.disconnected(&mut team, &worker, &cause, turn);
                None
            }
            E::Gone { worker, exit } => self.gone(&mut team, &worker, &exit, turn),
            E::Told { worker, news } => self.told(&mut team, &worker, news, turn),
            E::Stored { worker, sha256 } => {
                if let Some(seat) = team.seat_mut(&worker) {
                    seat.weights_sha256 = Some(sha256);
                }
                None
            }
            E::NodeLeaves { node, reason } => {
                self.node_leaves(&mut team, &node, &reason);
                None
            }
            E::StorageFailed { cause, full } => self.storage_failed(&mut team, cause, full, turn),
            E::Asked(wish) => {
                self.asked(&mut team, wish, turn);
                None
            }
            E::Interrupted { reason } => match self.interrupted(&mut team, reason, turn) {
                Some(state) => return state,
                None => None,
            },
            E::Tick => self.watch(&mut team, turn),
        };
        match failed {
            Some(failure) => self.end_failed(&team, failure, turn),
            None => self.settle(team, turn),
        }
    }
}
