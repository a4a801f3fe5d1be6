//! The table: `(state, event)` → next state, for one job. What its arms call is in `membership` and `ending`.

use super::state::{Failure, JobEvent, State, Stopping, Why};
use super::{Job, Turn};
use crate::cluster::command::Command;

impl Job {
    /// Lets something happen to the job. A changed state is recorded before any order goes out; a reason that changes
    /// without it is only told.
    pub(in crate::cluster) fn step(&mut self, turn: &mut Turn<'_>, event: JobEvent) {
        let state = std::mem::replace(&mut self.state, State::Queued);
        let (name, reason) = (state.name(), self.reason.clone());
        self.state = self.next(state, event, turn);
        if name != self.state.name() {
            turn.records.push(Command::SaveJob { record: Box::new(self.record()) });
        }
        if name != self.state.name() || reason != self.reason {
            let reason = Some(self.reason.clone());
            turn.records.push(Command::Notify { job: self.id.clone(), reason });
        }
    }

    fn next(&mut self, state: State, event: JobEvent, turn: &mut Turn<'_>) -> State {
        use JobEvent as E;
        use State as S;
        use Why::{Asked, Lost};
        match (state, event) {
            (S::Queued, E::Allotted(crew)) => self.start(crew, turn),
            (S::Starting(team), E::Joined(hello)) => self.joined(team, *hello, turn),
            (S::Starting(team), E::Tick) => self.check_hello(team, turn),
            (S::Starting(team), E::StopWanted { why, reason }) => {
                self.abort(&team, &reason, turn);
                self.end(Self::wanted(why, None), reason, turn)
            }
            (S::Running(team), E::StopWanted { why, reason }) => self.ask_to_stop(team, why, reason, turn),
            (S::Queued, E::StopWanted { why, reason }) => {
                self.end(Self::wanted(why, None), format!("{reason} while queued"), turn)
            }
            (S::Stopping(stopping), E::StopWanted { why, reason }) => self.asked_again(stopping, why, reason, turn),

            (mut state @ (S::Starting(_) | S::Running(_) | S::Stopping(_)), E::Told(told)) => {
                self.hear(&mut state, told, turn);
                self.settle(state, turn)
            }
            (mut state @ (S::Starting(_) | S::Running(_) | S::Stopping(_)), E::Stored { worker, sha256 }) => {
                if let Some(seat) = state.team_mut().and_then(|team| team.crew.seat_mut(&worker)) {
                    seat.weights_sha256 = Some(sha256);
                }
                state
            }
            (
                state @ (S::Starting(_) | S::Running(_) | S::Stopping(Stopping { why: Asked(_), .. })),
                E::Trouble { worker, sign },
            ) => self.first_sign(state, worker, sign, turn),
            (S::Stopping(Stopping { team, why: Lost(evidence) }), E::Trouble { worker, sign }) => {
                self.weigh(team, evidence, (worker, sign), turn)
            }
            (S::Stopping(Stopping { team, why: Lost(evidence) }), E::Tick) => self.check_evidence(team, evidence, turn),

            (state @ (S::Running(_) | S::Stopping(Stopping { why: Asked(_), .. })), E::Tick) => state,
            (state @ (S::Queued | S::Completed(_) | S::Failed(_) | S::Cancelled(_) | S::Interrupted(_)), E::Tick) => {
                state
            }

            (state @ (S::Starting(_) | S::Running(_) | S::Stopping(_)), E::StorageFailed { cause }) => {
                if let Some(team) = state.team() {
                    self.abort(team, &cause, turn);
                }
                self.storage_failed(cause, turn)
            }
            (S::Queued | S::Completed(_) | S::Cancelled(_) | S::Interrupted(_), E::StorageFailed { cause }) => {
                self.storage_failed(cause, turn)
            }

            // Workers of an ended job go as they may; whatever else they say is too late.
            (state @ (S::Completed(_) | S::Failed(_) | S::Cancelled(_) | S::Interrupted(_)), E::Trouble { .. }) => {
                state
            }
            (
                state @ (S::Completed(_) | S::Failed(_) | S::Cancelled(_) | S::Interrupted(_)),
                event @ (E::Allotted(_) | E::Joined(_) | E::Told(_) | E::Stored { .. } | E::StopWanted { .. }),
            ) => self.ignored(state, &event, turn),
            (state @ S::Failed(_), event @ E::StorageFailed { .. }) => self.ignored(state, &event, turn),
            (state @ S::Queued, event @ (E::Joined(_) | E::Told(_) | E::Stored { .. } | E::Trouble { .. })) => {
                self.ignored(state, &event, turn)
            }
            (state @ S::Starting(_), event @ E::Allotted(_))
            | (state @ (S::Running(_) | S::Stopping(_)), event @ (E::Allotted(_) | E::Joined(_))) => {
                self.ignored(state, &event, turn)
            }
        }
    }

    fn ignored(&self, state: State, event: &JobEvent, turn: &mut Turn<'_>) -> State {
        let what = match event {
            JobEvent::Allotted(_) => "an allotment is".to_owned(),
            JobEvent::Joined(hello) => format!("worker {} is", hello.worker),
            JobEvent::Told(told) => format!("{} of worker {} is", told.news.name(), told.worker),
            JobEvent::Trouble { worker, .. } => format!("trouble of worker {worker} is"),
            JobEvent::Stored { worker, .. } => format!("a file of worker {worker} is"),
            JobEvent::StorageFailed { cause } => format!("{cause:?} is"),
            JobEvent::StopWanted { reason, .. } => format!("{reason:?} is"),
            JobEvent::Tick => "time is".to_owned(),
        };
        turn.ignore(format!("job {} is {}: {what} ignored", self.id, state.name().as_str()));
        state
    }

    /// No summary is written here: the disk may be what failed.
    fn storage_failed(&mut self, cause: String, turn: &Turn<'_>) -> State {
        self.ended = Some(turn.now);
        self.reason = cause.clone();
        State::Failed(Failure { reason: cause, bad_input: false })
    }
}
