//! How jobs end.

use super::team::Team;
use super::{Job, State, Turn};
use crate::cluster::command::Command;
use crate::cluster::event::Failure;
use crate::cluster::facts::{Outcome, StopReason};
use crate::cluster::record::Summary;

impl Job {
    /// All ranks have finished the job: they must agree, and rank 0's weights must be those that it speaks of.
    pub(super) fn conclude(&mut self, team: &Team, turn: &mut Turn<'_>) -> State {
        let members = team.current.iter().flat_map(|current| &current.members);
        let mut seats = members.filter_map(|worker| team.seat(worker));
        let first = seats.next();
        let Some((seat, outcome)) = first.and_then(|seat| Some((seat, seat.outcome.clone()?))) else {
            return self.end_failed(team, failure("no outcome".into()), turn);
        };
        let mismatch = seats.find_map(|other| {
            let difference = outcome.difference(other.outcome.as_ref()?)?;
            Some(format!("{}: it tells of {difference} as rank 0", team.name(&other.worker)))
        });
        if let Some(mismatch) = mismatch {
            return self.end_failed(team, failure(mismatch), turn);
        }
        let stored = seat.weights_sha256.as_deref().unwrap_or_default();
        if outcome.weights_sha256 != stored {
            let told = &outcome.weights_sha256;
            let reason = format!("rank 0 tells of weights {told:?} but has stored {stored:?}");
            return self.end_failed(team, failure(reason), turn);
        }
        let recorded = self.progress.ledger.steps();
        if recorded != outcome.steps {
            self.log(vec![format!("the ledger has {recorded} of {} steps", outcome.steps)], turn);
        }
        let steps = outcome.steps;
        let reason = match outcome.stop_reason {
            StopReason::Target => format!("the target is reached after step {steps}"),
            StopReason::Plateau => {
                format!("no lower loss in {} evaluations: stopped after step {steps}", self.spec.schedule.patience)
            }
            StopReason::Time => format!("its time is over after step {steps}"),
            StopReason::Completed
            | StopReason::Cancelled
            | StopReason::Interrupted
            | StopReason::Paused
            | StopReason::Nonfinite
            | StopReason::Regrouped => format!("all {steps} steps are done"),
        };
        self.end(State::Completed(outcome), reason, turn)
    }

    /// A step came to numbers that are not finite: it was not committed, and would come to the same again.
    pub(super) fn end_nonfinite(&mut self, team: &Team, outcome: Option<Outcome>, turn: &mut Turn<'_>) -> State {
        let (steps, told) = outcome.map_or((0, String::new()), |outcome| (outcome.steps, outcome.reason));
        let reason = if told.is_empty() { format!("step {} is not finite", steps + 1) } else { told };
        self.end_failed(team, Failure { diverged: Some(steps), ..failure(reason) }, turn)
    }

    /// A user ended it.
    pub(super) fn end_cancelled(&mut self, outcome: Option<Outcome>, turn: &mut Turn<'_>) -> State {
        let reason = match &outcome {
            Some(outcome) => format!("cancelled after step {}", outcome.steps),
            None => "cancelled by a user".into(),
        };
        self.end(State::Cancelled(outcome), reason, turn)
    }

    /// A signal ended it.
    pub(super) fn end_interrupted(&mut self, outcome: Option<Outcome>, reason: String, turn: &mut Turn<'_>) -> State {
        let reason = match &outcome {
            Some(outcome) => format!("interrupted after step {}", outcome.steps),
            None => reason,
        };
        self.end(State::Interrupted(outcome), reason, turn)
    }

    /// It could not go on; who is left is told.
    pub(super) fn end_failed(&mut self, team: &Team, failure: Failure, turn: &mut Turn<'_>) -> State {
        if let Some(current) = team.current.as_ref().filter(|current| !current.is_aborting()) {
            for seat in team.members() {
                let (worker, generation) = (seat.worker.clone(), current.generation);
                turn.orders.push(Command::Abort { worker, generation, reason: failure.reason.clone() });
            }
        }
        let reason = failure.reason.clone();
        self.end(State::Failed(failure), reason, turn)
    }

    /// The job is over: its run folder is completed, then its row.
    fn end(&mut self, state: State, reason: String, turn: &mut Turn<'_>) -> State {
        self.reason = reason;
        self.ended = Some(turn.now);
        for ticket in self.checkpoint_tickets.drain(..) {
            let (job, state) = (self.id.clone(), state.name().as_str());
            let answer = Err(crate::cluster::command::Refusal::Ended { job: job.clone(), state });
            turn.orders.push(Command::AnswerCheckpoint { ticket, job, answer });
        }
        self.save_ledger(turn);
        let summary = Box::new(self.summary(&state));
        turn.records.push(Command::CloseRun { job: self.id.clone(), summary });
        state
    }

    fn summary(&self, state: &State) -> Summary {
        let outcome = state.outcome();
        let rate = |o: &Outcome| (o.seconds > 0.0).then(|| o.samples as f64 / o.seconds);
        let weights = outcome.map(|o| o.weights_sha256.clone()).filter(|hash| !hash.is_empty());
        let stop_reason = match state {
            State::Completed(outcome) => outcome.stop_reason.as_str(),
            State::Failed(Failure { diverged: Some(_), .. }) => StopReason::Nonfinite.as_str(),
            state => state.name().as_str(),
        };
        let reached = outcome.filter(|o| o.stop_reason == StopReason::Target);
        let begun = self.progress.recorded_step > 0;
        let recorded = match state {
            State::Failed(failure) if failure.diverged.is_some() => failure.diverged,
            _ => begun.then_some(self.progress.recorded_step),
        };
        Summary {
            test_error: outcome.and_then(|o| o.test_error),
            test_top5_error: outcome.and_then(|o| o.test_top5_error),
            test_loss: outcome.and_then(|o| o.test_loss),
            train_loss: outcome.and_then(|o| o.train_loss),
            steps: outcome.map(|o| o.steps).or(recorded),
            epochs: outcome.map(|o| o.epochs),
            samples: outcome.map(|o| o.samples),
            seconds: outcome.map(|o| o.seconds),
            samples_per_second: outcome.and_then(rate),
            workers: self.workers,
            threads: self.placements.iter().map(|placement| placement.threads).max(),
            weights_sha256: weights,
            stop_reason: stop_reason.into(),
            steps_to_target: reached.map(|o| o.steps),
            reason: self.reason.clone(),
        }
    }
}

fn failure(reason: String) -> Failure {
    Failure { reason, bad_input: false, diverged: None }
}
