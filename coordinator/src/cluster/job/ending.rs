//! How jobs end other than by finishing: asked to, or by a loss whose cause is looked for.

use lockstep_proto::identity::WorkerId;

use super::state::{EVIDENCE_GRACE, Evidence, Failure, Sign, State, Stopping, Team, Why};
use super::{Job, Turn};
use crate::cluster::command::Command;
use crate::cluster::facts::{Outcome, StopReason};
use crate::cluster::record::Summary;

impl Job {
    /// The state of a job that ended for this reason.
    pub(super) fn wanted(why: StopReason, outcome: Option<Outcome>) -> State {
        match (why, outcome) {
            (StopReason::Completed, Some(outcome)) => State::Completed(outcome),
            (StopReason::Cancelled | StopReason::Completed, outcome) => State::Cancelled(outcome),
            (StopReason::Interrupted, outcome) => State::Interrupted(outcome),
        }
    }

    /// The job is over: its run folder is completed, then its row.
    pub(super) fn end(&mut self, state: State, reason: String, turn: &mut Turn<'_>) -> State {
        self.reason = reason;
        self.ended = Some(turn.now);
        let summary = Box::new(self.summary(&state));
        turn.records.push(Command::CloseRun { job: self.id.clone(), summary });
        state
    }

    pub(super) fn fail(&mut self, reason: String, turn: &mut Turn<'_>) -> State {
        let failure = Failure { reason: reason.clone(), bad_input: false };
        self.end(State::Failed(failure), reason, turn)
    }

    /// Tells all members of the generation, if it has begun, to leave it at once.
    pub(super) fn abort(&self, team: &Team, reason: &str, turn: &mut Turn<'_>) {
        let Some(generation) = team.generation else { return };
        for seat in team.crew.seats.iter().filter(|seat| !seat.exited) {
            let (worker, reason) = (seat.worker.clone(), reason.to_owned());
            turn.orders.push(Command::Abort { worker, generation, reason });
        }
    }

    /// Tells all ranks to set the stop-wanted bit.
    pub(super) fn ask_to_stop(&mut self, team: Team, why: StopReason, reason: String, turn: &mut Turn<'_>) -> State {
        if let Some(generation) = team.generation {
            for seat in &team.crew.seats {
                turn.orders.push(Command::Stop { worker: seat.worker.clone(), generation, why });
            }
        }
        self.reason = format!("{reason}: stops after the step in flight");
        State::Stopping(Stopping { team, why: Why::Asked(why) })
    }

    /// A second interrupt doesn't wait for the step in flight; other wishes change nothing.
    pub(super) fn asked_again(
        &mut self,
        stopping: Stopping,
        why: StopReason,
        reason: String,
        turn: &mut Turn<'_>,
    ) -> State {
        match (&stopping.why, why) {
            (Why::Asked(StopReason::Interrupted), StopReason::Interrupted) => {
                self.abort(&stopping.team, &reason, turn);
                self.end(State::Interrupted(None), format!("{reason} twice"), turn)
            }
            (Why::Asked(_) | Why::Lost(_), _) => {
                turn.ignore(format!("job {} is stopping already: {reason:?} is ignored", self.id));
                State::Stopping(stopping)
            }
        }
    }

    /// The first sign of a loss. The others abort at once; the job fails when the cause is known.
    pub(super) fn first_sign(&mut self, mut state: State, worker: WorkerId, sign: Sign, turn: &mut Turn<'_>) -> State {
        if self.harmless(&mut state, &worker, &sign, turn) {
            return state;
        }
        let (team, wish) = match state {
            State::Starting(team) | State::Running(team) => (team, None),
            State::Stopping(Stopping { team, why: Why::Asked(wish) }) => (team, Some(wish)),
            other @ (State::Queued
            | State::Stopping(_)
            | State::Completed(_)
            | State::Failed(_)
            | State::Cancelled(_)
            | State::Interrupted(_)) => return other,
        };
        let (cause, told, certain) = match sign {
            Sign::Failed { failure, .. } if failure.bad_input => {
                let reason = format!("{}: {}", team.crew.name(&worker), failure.reason);
                self.abort(&team, &reason, turn);
                return self.end(State::Failed(failure), reason, turn);
            }
            Sign::Failed { failure, .. } => (failure.reason, true, false),
            Sign::Silent { cause } => (format!("lost: {cause}"), false, false),
            Sign::Exited(exit) if exit.clean => (format!("{} too early", exit.cause), false, true),
            Sign::Exited(exit) => (exit.cause, false, true),
        };
        let reason = format!("{}: {cause}", team.crew.name(&worker));
        self.abort_others(&team, &worker, &reason, turn);
        let evidence = Evidence { worker, reason, told, since: turn.now, wish };
        if certain || team.crew.all_accounted() {
            return self.lost(evidence, turn);
        }
        self.reason = evidence.reason.clone();
        State::Stopping(Stopping { team, why: Why::Lost(evidence) })
    }

    /// Notes an exit; says whether the sign is about the past: another generation, or a rank that had finished.
    fn harmless(&self, state: &mut State, worker: &WorkerId, sign: &Sign, turn: &mut Turn<'_>) -> bool {
        let Some(team) = state.team_mut() else { return true };
        let current = team.generation;
        let Some(seat) = team.crew.seat_mut(worker) else {
            turn.ignore(format!("trouble of worker {worker} is ignored: it is no member"));
            return true;
        };
        match sign {
            Sign::Failed { generation: Some(generation), .. } if Some(*generation) != current => {
                turn.ignore(format!("failure of worker {worker} for {generation:?} is ignored"));
                return true;
            }
            Sign::Exited(_) => seat.exited = true,
            Sign::Failed { .. } => seat.failed = true,
            Sign::Silent { .. } => {}
        }
        seat.outcome.is_some()
    }

    /// More signs while the cause is looked for. What follows from the abort proves nothing; a signal does.
    pub(super) fn weigh(
        &mut self,
        mut team: Team,
        mut evidence: Evidence,
        (worker, sign): (WorkerId, Sign),
        turn: &mut Turn<'_>,
    ) -> State {
        let name = team.crew.name(&worker);
        match sign {
            Sign::Failed { failure, .. } if failure.bad_input => {
                let reason = format!("{name}: {}", failure.reason);
                return self.end(State::Failed(failure), reason, turn);
            }
            Sign::Failed { .. } => {
                if let Some(seat) = team.crew.seat_mut(&worker) {
                    seat.failed = true;
                }
            }
            Sign::Silent { .. } => {}
            Sign::Exited(exit) => {
                if let Some(seat) = team.crew.seat_mut(&worker) {
                    seat.exited = true;
                }
                let silent = worker == evidence.worker && !evidence.told;
                if silent || exit.is_a_cause() {
                    evidence.reason = format!("{name}: {}", exit.cause);
                    return self.lost(evidence, turn);
                }
            }
        }
        if team.crew.all_accounted() {
            return self.lost(evidence, turn);
        }
        State::Stopping(Stopping { team, why: Why::Lost(evidence) })
    }

    /// No better cause arrived in time.
    pub(super) fn check_evidence(&mut self, team: Team, evidence: Evidence, turn: &mut Turn<'_>) -> State {
        if turn.now >= evidence.since.plus(EVIDENCE_GRACE) {
            return self.lost(evidence, turn);
        }
        State::Stopping(Stopping { team, why: Why::Lost(evidence) })
    }

    fn lost(&mut self, evidence: Evidence, turn: &mut Turn<'_>) -> State {
        match evidence.wish {
            Some(wish) => {
                let reason = format!("{} while stopping: {}", wish.as_str(), evidence.reason);
                self.end(Self::wanted(wish, None), reason, turn)
            }
            None => self.fail(evidence.reason, turn),
        }
    }

    fn abort_others(&self, team: &Team, lost: &WorkerId, reason: &str, turn: &mut Turn<'_>) {
        let Some(generation) = team.generation else { return };
        for seat in &team.crew.seats {
            if seat.worker != *lost && !seat.exited {
                let (worker, reason) = (seat.worker.clone(), reason.to_owned());
                turn.orders.push(Command::Abort { worker, generation, reason });
            }
        }
    }

    fn summary(&self, state: &State) -> Summary {
        let outcome = state.outcome();
        let rate = |o: &Outcome| (o.seconds > 0.0).then(|| o.samples as f64 / o.seconds);
        let weights = outcome.map(|o| o.weights_sha256.clone()).filter(|hash| !hash.is_empty());
        Summary {
            test_error: outcome.and_then(|o| o.test_error),
            test_loss: outcome.and_then(|o| o.test_loss),
            train_loss: outcome.and_then(|o| o.train_loss),
            steps: outcome.map(|o| o.steps),
            epochs: outcome.map(|o| o.epochs),
            samples: outcome.map(|o| o.samples),
            seconds: outcome.map(|o| o.seconds),
            samples_per_second: outcome.and_then(rate),
            workers: self.spec.cluster.workers,
            threads: self.placements.iter().map(|placement| placement.threads).max(),
            weights_sha256: weights,
            stop_reason: state.name().as_str().into(),
            reason: self.reason.clone(),
        }
    }
}
