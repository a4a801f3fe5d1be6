//! Workers come: asked for, said hello, prepared; or they come back from an earlier life of the coordinator.

use lockstep_proto::identity::{Generation, NodeId, WorkerId};

use super::team::{Current, Link, Seat, Stage, Team, Wanted};
use super::{Job, State, Turn};
use crate::cluster::command::Command;
use crate::cluster::event::{Attachment, Connection, Failure, WorkerHello};
use crate::cluster::facts::Prepared;
use crate::cluster::record::Member;
use crate::cluster::timeouts::REATTACH;

impl Job {
    /// The scheduler gave slots: start a process in each.
    pub(super) fn start(&mut self, seats: Vec<Seat>, turn: &mut Turn<'_>) -> State {
        let mut team = Box::new(Team::new(Vec::new(), turn.now));
        team.begun = self.progress.recorded_step > 0;
        self.reason = format!("starts {}", workers(seats.len()));
        self.start_more(&mut team, seats, turn);
        State::Active(team)
    }

    /// More slots for a job that has workers, or had some.
    pub(super) fn start_more(&mut self, team: &mut Team, seats: Vec<Seat>, turn: &mut Turn<'_>) {
        for seat in seats {
            turn.orders.push(Command::StartWorker {
                node: seat.node.clone(),
                worker: seat.worker.clone(),
                job: self.id.clone(),
                threads: seat.threads,
            });
            team.seats.push(seat);
        }
    }

    /// A worker said hello, for the first time or again; a failure where the job can't have it.
    pub(super) fn joined(
        &mut self,
        team: &mut Team,
        connection: Connection,
        mut hello: WorkerHello,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        if let Some(failure) = self.fingerprint_fits(team, &hello, turn) {
            return failure;
        }
        if let Some(failure) = self.transport_fits(team, &hello, turn) {
            return failure;
        }
        let attachment = hello.attachment.take();
        if let Some(attachment) = &attachment {
            self.highest_generation = self.highest_generation.max(attachment.highest_generation);
            self.catch_up(team, attachment, turn);
        }
        if team.seat(&hello.worker).is_none() {
            let host = self.host_of(team, &hello.node);
            team.seats.push(Seat::new(hello.worker.clone(), hello.node.clone(), host, hello.threads, turn.now));
        }
        let current = team.current.as_ref().map(|current| current.generation);
        let (now, assignment) = (turn.now, Box::new(self.assignment()));
        let seat = team.seat_mut(&hello.worker)?;
        let worker = hello.worker.clone();
        let comes = worker.clone();
        (seat.link, seat.heard, seat.moved, seat.idle_since) = (Link::Up(connection), now, now, now);
        seat.recorder.note(now, if attachment.is_some() { "came back".into() } else { "said hello".into() });
        seat.hello = Some(hello);
        match attachment {
            Some(attachment) if attachment.assignment.is_some() => {
                let takes_part = attachment.generation.map(|(generation, _)| generation);
                // It ended the current generation while nobody listened: how, it says next. So it does if it is ready.
                let ended = takes_part.is_none()
                    && current.is_some_and(|current| current.number == attachment.highest_generation);
                // What it looked up when it came up may be known to be of no use by now.
                seat.prepared = seat.prepared.take().or(attachment.prepared);
                seat.held = attachment.held.filter(|_| takes_part.is_none());
                seat.member = seat.member && (takes_part == current || ended);
                if let Some(stale) = takes_part.filter(|generation| Some(*generation) != current) {
                    // It waits in a generation that is over: it is to leave that one first.
                    let reason = "this generation is over".to_owned();
                    turn.orders.push(Command::Abort { worker: worker.clone(), generation: stale, reason });
                }
                if let Some(prepared) = seat.prepared.clone() {
                    self.progress.facts = prepared.facts;
                }
                self.tell_durable(&worker, turn);
            }
            Some(_) | None => turn.orders.push(Command::Assign { worker, assignment }),
        }
        self.see_whether_ready(team, turn);
        say_again(team, &comes, turn);
        None
    }

    /// Takes a newer generation over from a worker that takes part in it: this coordinator has forgotten some.
    fn catch_up(&mut self, team: &mut Team, attachment: &Attachment, turn: &mut Turn<'_>) {
        let Some((generation, members)) = &attachment.generation else { return };
        if team.current.as_ref().is_some_and(|current| current.generation.number >= generation.number) {
            return;
        }
        if self.generations.last().is_some_and(|known| known.number >= generation.number) {
            return;
        }
        self.take_over(team, *generation, members, turn);
    }

    fn take_over(&mut self, team: &mut Team, generation: Generation, members: &[Member], turn: &mut Turn<'_>) {
        let until = turn.now.plus(REATTACH);
        let hosts: Vec<String> = members
            .iter()
            .map(|member| NodeId::try_from(member.node.as_str()).map_or("?".into(), |node| self.host_of(team, &node)))
            .collect();
        let away = members.iter().zip(hosts).filter_map(|(member, host)| Seat::away(member, host, until, turn.now));
        let mut away: Vec<Seat> = away.collect();
        let taking_part = away.iter().map(|seat| seat.worker.clone()).collect();
        leave_older(team, turn);
        team.seats.retain(Seat::connected);
        // Those who are here already are in an older one, or in none.
        away.retain(|seat| team.seat(&seat.worker).is_none());
        away.iter_mut().for_each(|seat| seat.member = true);
        team.current = Some(Current {
            generation,
            members: taking_part,
            lanes: members.iter().map(|member| member.lanes).collect(),
            first_step: self.progress.recorded_step,
            start: None,
            ready: false,
            stage: Stage::Going,
            acknowledged: turn.now,
        });
        team.seats.extend(away);
        team.begun = true;
        // Now it is known who may come.
        team.gathers = None;
        self.highest_generation = self.highest_generation.max(generation.number);
        self.reason = format!("generation {generation} is taken over from its workers");
    }

    /// A job that has no workers, as far as this coordinator remembers, is one that it has forgotten some of.
    /// One that was paused pauses again.
    pub(super) fn adopt(
        &mut self,
        connection: Connection,
        hello: WorkerHello,
        wish: Option<Wanted>,
        turn: &mut Turn<'_>,
    ) -> State {
        let mut team = Box::new(Team::new(Vec::new(), turn.now));
        (team.begun, team.wish) = (true, wish);
        team.gathers = Some(turn.now.plus(REATTACH));
        match self.joined(&mut team, connection, hello, turn) {
            Some(failure) => self.end_failed(&team, failure, turn),
            None => self.settle(team, turn),
        }
    }

    fn host_of(&self, team: &Team, node: &NodeId) -> String {
        let seat = team.seats.iter().find(|seat| seat.node == *node).map(|seat| seat.host.clone());
        let placed = || self.placements.iter().find(|placed| placed.node == node.as_str()).map(|p| p.host.clone());
        seat.or_else(placed).unwrap_or_else(|| node.to_string())
    }

    /// Workers of another fingerprint get no lanes: the node is not used any more, or the job has failed if it has
    /// not begun. The inner option is that failure.
    fn fingerprint_fits(
        &mut self,
        team: &mut Team,
        hello: &WorkerHello,
        turn: &mut Turn<'_>,
    ) -> Option<Option<Failure>> {
        let first = team.hello_of_another(&hello.worker).cloned();
        let known = &self.progress.fingerprint;
        let libraries = self.spec.cluster.libraries;
        let found = hello.fingerprint.for_job(libraries);
        let Some(first) = first else {
            if let Some(difference) = known.difference(&found).filter(|_| !known.build.is_empty()) {
                let line = format!("goes on with another fingerprint than before: its {difference}");
                self.log(vec![line], turn);
            }
            self.progress.fingerprint = found;
            return None;
        };
        let difference = first.fingerprint.for_job(libraries).difference(&found)?;
        let name = team.name(&hello.worker);
        let reason = format!("{name}: its {difference} as others of the job have");
        Some(self.does_not_fit(team, &hello.worker, reason, turn))
    }

    /// A worker would compute something else than the others. A job that has begun goes on without its node.
    pub(super) fn does_not_fit(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        reason: String,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        if !team.begun {
            return Some(Failure { reason, bad_input: false, diverged: None });
        }
        self.log(vec![format!("{reason}: its node gets no lanes of this job")], turn);
        if let Some(seat) = team.seat(worker) {
            self.losses.exclude(seat.node.clone(), reason);
        }
        team.seats.retain(|seat| seat.worker != *worker);
        turn.dismissed.push(worker.clone());
        None
    }

    /// Data set and model of a worker stand.
    pub(super) fn prepared(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        prepared: Prepared,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        if team.seat(worker).is_none_or(|seat| seat.prepared.is_some()) {
            // It was said before: a broken stream may have swallowed it.
            return None;
        }
        let name = team.name(worker);
        let other = team.seats.iter().filter(|seat| seat.worker != *worker).find_map(|seat| seat.prepared.as_ref());
        if let Some(other) = other.filter(|other| other.facts != prepared.facts) {
            let (theirs, ours) = (&prepared.facts.dataset, &other.facts.dataset);
            let reason = format!("{name}: its dataset is {theirs}, not {ours} as others of the job have");
            return self.does_not_fit(team, worker, reason, turn);
        }
        self.log(prepared.remarks.iter().map(|remark| format!("{name}: {remark}")).collect(), turn);
        self.progress.facts = prepared.facts.clone();
        let now = turn.now;
        let seat = team.seat_mut(worker)?;
        seat.recorder.note(now, "prepared".into());
        (seat.prepared, seat.idle_since, seat.moved) = (Some(prepared), now, now);
        let coming = team.seats.iter().filter(|seat| seat.coming()).count();
        if !team.begun && coming > 0 {
            self.reason = format!("waits for {coming} of {} to be prepared", workers(team.seats.len()));
        }
        None
    }
}

/// The generation that was believed to be the newest is over: who came back from it is to leave it.
fn leave_older(team: &mut Team, turn: &mut Turn<'_>) {
    let Some(older) = team.current.as_ref().map(|current| current.generation) else { return };
    for seat in team.seats.iter_mut().filter(|seat| seat.member && seat.connected()) {
        let (worker, reason) = (seat.worker.clone(), "this generation is over".to_owned());
        turn.orders.push(Command::Abort { worker, generation: older, reason });
        (seat.member, seat.ready, seat.outcome) = (false, false, None);
    }
}

/// What a member of the generation may not have heard on a stream that broke.
fn say_again(team: &Team, worker: &WorkerId, turn: &mut Turn<'_>) {
    let Some(current) = team.current.as_ref().filter(|_| team.seat(worker).is_some_and(|seat| seat.member)) else {
        return;
    };
    let (worker, generation) = (worker.clone(), current.generation);
    match &current.stage {
        Stage::Going => {}
        Stage::Stopping(why) => turn.orders.push(Command::Stop { worker, generation, why: *why }),
        Stage::Aborting(reason) => turn.orders.push(Command::Abort { worker, generation, reason: reason.clone() }),
    }
}

/// "1 worker", "2 workers".
pub(super) fn workers(count: usize) -> String {
    if count == 1 { "1 worker".into() } else { format!("{count} workers") }
}
