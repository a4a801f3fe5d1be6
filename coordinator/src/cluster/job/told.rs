//! What workers say, sorted by kind.

use lockstep_proto::identity::{Generation, WorkerId};

use super::team::Team;
use super::{Job, Turn};
use crate::cluster::event::{Failure, News, SignOfLife};
use crate::cluster::facts::{Held, Outcome};

impl Job {
    /// Takes in what a worker says; a failure where that ends the job.
    pub(super) fn told(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        news: News,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        let Some(seat) = team.seat_mut(worker) else {
            turn.ignore(format!("words of worker {worker} are ignored: it is not of job {}", self.id));
            return None;
        };
        seat.heard = turn.now;
        match news {
            News::Alive(life) => {
                alive(team, worker, life, turn);
                None
            }
            News::Prepared(prepared) => self.prepared(team, worker, prepared, turn),
            News::Ready { generation, held } => {
                self.ready(team, worker, generation, &held, turn);
                None
            }
            News::Reported(batch) => {
                self.reported(team, worker, batch, turn);
                None
            }
            News::Finished { generation, held, outcome } => {
                self.finished(team, worker, generation, (held, outcome), turn);
                None
            }
            News::Left { generation, held, cause, lost_rank, recent } => {
                self.log(recent.into_iter().map(|line| format!("{worker}: {line}")).collect(), turn);
                self.left(team, worker, generation, (held, cause, lost_rank), turn)
            }
            News::Failed(failure) => self.failed(team, worker, failure, turn),
            News::CheckpointWritten(checkpoint) => {
                self.checkpoint_written(team, worker, checkpoint, turn);
                None
            }
            News::CheckpointFailed { step, reason, full } => {
                self.checkpoint_failed(team, worker, (step, reason, full), turn);
                None
            }
            News::StateDigest { generation, step, tensors } => {
                self.state_digest(team, worker, (generation, step, tensors), turn);
                None
            }
            News::LaneDigest { generation, step, lane, owner, digest } => {
                self.lane_digest(team, worker, (generation, step, lane), (owner, digest), turn);
                None
            }
        }
    }

    /// All have the same state: the first step begins.
    fn ready(&mut self, team: &mut Team, worker: &WorkerId, generation: Generation, held: &Held, turn: &mut Turn<'_>) {
        if !is_current(team, worker, generation, "readiness", turn) {
            return;
        }
        let now = turn.now;
        if let Some(seat) = team.seat_mut(worker) {
            (seat.ready, seat.moved) = (true, now);
            seat.recorder.note(now, format!("ready at step {}", held.step));
        }
        self.see_whether_ready(team, turn);
    }

    /// The generation runs once all of its members say so.
    pub(super) fn see_whether_ready(&mut self, team: &mut Team, turn: &mut Turn<'_>) {
        let Some(current) = &team.current else { return };
        let ready = team.seats.iter().filter(|seat| seat.member && seat.ready).count();
        if current.ready || current.is_aborting() || ready < current.members.len() {
            return;
        }
        self.started = self.started.or(Some(turn.now));
        let count = current.members.len();
        self.reason = format!("{} ready: generation {}", super::joining::workers(count), current.generation);
        self.save_run(turn);
        team.begun = true;
        if let Some(current) = &mut team.current {
            current.ready = true;
        }
        self.ask_for_checkpoint_again(team, turn);
    }

    /// A member's generation ended after a step, as it did for the others.
    fn finished(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        generation: Generation,
        (held, outcome): (Held, Outcome),
        turn: &mut Turn<'_>,
    ) {
        if !is_current(team, worker, generation, "the outcome", turn) {
            return;
        }
        let now = turn.now;
        if let Some(seat) = team.seat_mut(worker) {
            seat.recorder.note(now, format!("{} at step {}", outcome.stop_reason.as_str(), held.step));
            (seat.member, seat.ready, seat.idle_since) = (false, false, now);
            (seat.held, seat.outcome) = (Some(held), Some(outcome));
        }
    }

    /// A member left the generation: a peer of it is lost, or it was told to.
    fn left(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        generation: Generation,
        (held, cause, lost_rank): (Option<Held>, String, Option<u32>),
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        let current = team.current.as_ref().map(|current| current.generation);
        if current != Some(generation) {
            // It was in one that is over and is free now.
            if let Some(seat) = team.seat_mut(worker).filter(|seat| !seat.member) {
                seat.held = held;
            }
            return None;
        }
        let name = team.name(worker);
        let aborting = team.current.as_ref().is_some_and(super::team::Current::is_aborting);
        let now = turn.now;
        let seat = team.seat_mut(worker)?;
        seat.recorder.note(now, format!("left: {cause}"));
        (seat.member, seat.ready, seat.idle_since, seat.held) = (false, false, now, held);
        if aborting {
            return None;
        }
        // The first to leave: what it says is the best that is known of the cause so far.
        self.reason = format!("{name} left generation {generation}: {cause}");
        self.log(vec![self.reason.clone()], turn);
        self.broke_by_itself(team, worker, lost_rank, turn)
    }
}

/// Notes a sign of life.
fn alive(team: &mut Team, worker: &WorkerId, life: SignOfLife, turn: &mut Turn<'_>) {
    let Some(seat) = team.seat_mut(worker) else { return };
    if seat.life.progress != life.progress {
        seat.moved = turn.now;
    }
    if seat.life.phase != life.phase {
        seat.recorder.note(turn.now, format!("in {} after step {}", life.phase, life.step));
    }
    seat.life = life;
}

/// Whether a member speaks of the generation that is under way; about any other it comes too late.
pub(super) fn is_current(
    team: &Team,
    worker: &WorkerId,
    generation: Generation,
    what: &str,
    turn: &mut Turn<'_>,
) -> bool {
    let current = team.current.as_ref().map(|current| current.generation);
    if current == Some(generation) && team.seat(worker).is_some_and(|seat| seat.member) {
        return true;
    }
    let now = current.map_or("none".into(), |now| format!("{now:?}"));
    turn.ignore(format!("{what} of worker {worker} for {generation:?} is ignored: the job's is {now}"));
    false
}
