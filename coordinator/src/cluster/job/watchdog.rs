//! Time passes: who is silent, stuck, or does not come is given up, with the culprit named.
//!
//! Every limit has a deadline that asks for a tick, and every tick at a deadline changes what the deadline is.

use std::time::Duration;

use lockstep_proto::identity::WorkerId;

use super::team::{Hold, Link, Seat, Team};
use super::{Job, Turn, settle};
use crate::cluster::event::Failure;
use crate::cluster::time::Timestamp;
use crate::cluster::timeouts::{PREPARE, SILENCE, STUCK_FACTOR};

/// Phases in which a worker waits for others: without progress in one of them it is not to blame.
const WAITING: [&str; 2] = ["reduce", "start"];
/// Phases in which it waits for a disk, maybe for room on it: a checkpoint has to be written, weights to be stored.
const STORING: [&str; 2] = ["checkpoint", "idle"];

impl Job {
    /// When time alone will change something.
    pub fn deadline(&self) -> Option<Timestamp> {
        let team = self.state.team()?;
        let seats = team.seats.iter().map(|seat| seat_deadline(team, seat));
        let hold = team.hold.as_ref().and_then(Hold::retry);
        seats.chain(hold).chain(team.gathers).chain(self.gather_deadline(team)).chain(standstill(team)).min()
    }

    /// Gives up whom there is nothing to hope for; a failure where that ends the job.
    pub(super) fn watch(&mut self, team: &mut Team, turn: &mut Turn<'_>) -> Option<Failure> {
        self.retry_storage(team, turn);
        team.gathers = team.gathers.filter(|until| turn.now < *until);
        while let Some((worker, cause)) = self.overdue(team, turn.now) {
            turn.stopped.push((worker.clone(), cause.clone()));
            if let Some(failure) = self.lose(team, &worker, &cause, turn) {
                return Some(failure);
            }
        }
        self.watch_standstill(team, turn)
    }

    /// The first worker that is to be given up, and why.
    fn overdue(&self, team: &Team, now: Timestamp) -> Option<(WorkerId, String)> {
        team.seats.iter().find_map(|seat| {
            let cause = gives_up(team, seat, now)?;
            let rank = team.rank(&seat.worker);
            let lanes = team.current.as_ref().zip(rank).map(|(current, rank)| lanes_of(&current.lanes, rank));
            let lanes = lanes.map(|lanes| format!(", lanes {lanes}")).unwrap_or_default();
            let at = match seat.life.phase.as_str() {
                "" => String::new(),
                phase => format!(" (phase {phase}, step {}{lanes})", seat.life.step),
            };
            Some((seat.worker.clone(), format!("{cause}{at}")))
        })
    }

    /// All wait for each other and nobody is to blame: a connection between nodes is cut. The generation is given up;
    /// the next one finds out who can't be reached.
    fn watch_standstill(&mut self, team: &mut Team, turn: &mut Turn<'_>) -> Option<Failure> {
        if standstill(team).is_none_or(|until| turn.now < until) {
            return None;
        }
        let current = team.current.as_ref()?;
        let what = match current.ready {
            true => format!("step {} of generation", team.members().map(|seat| seat.life.step).max().unwrap_or(0)),
            false => "the beginning of generation".to_owned(),
        };
        let waits = team.members().map(|seat| turn.now.since(seat.moved)).min().unwrap_or_default();
        self.reason = format!(
            "behind {what} {} nothing moves for {} s: {} ranks wait for each other",
            current.generation,
            waits.as_secs(),
            current.members.len()
        );
        let generation = current.generation.number;
        let node = team.members().next()?.node.clone();
        let reason = self.reason.clone();
        self.log(vec![reason.clone()], turn);
        settle::abort(team, reason.clone(), turn);
        self.charge(team, (&node, Some(generation)), &reason, turn)
    }
}

/// When a generation whose members all wait for each other is given up.
fn standstill(team: &Team) -> Option<Timestamp> {
    let current = team.current.as_ref().filter(|current| !current.is_aborting())?;
    team.members().next()?;
    let waits = |seat: &Seat| match current.ready {
        true => WAITING.contains(&seat.life.phase.as_str()).then(|| seat.moved.plus(limit(seat))),
        // The state may be on its way to a member.
        false => Some(seat.moved.plus(PREPARE)),
    };
    team.members().map(waits).try_fold(Timestamp::default(), |latest, until| Some(latest.max(until?)))
}

/// Why a worker is given up, if it is.
fn gives_up(team: &Team, seat: &Seat, now: Timestamp) -> Option<String> {
    let seconds = |since: Timestamp| now.since(since).as_secs();
    match seat.link {
        Link::None => (now >= seat.heard.plus(PREPARE)).then(|| format!("no hello within {} s", PREPARE.as_secs())),
        Link::Down(until) => (now >= until).then(|| "its connection is gone and it did not come back".to_owned()),
        Link::Up(_) if now >= seat.heard.plus(SILENCE) => {
            Some(format!("no sign of life for {} s", seconds(seat.heard)))
        }
        Link::Up(_) if seat.prepared.is_none() => {
            (now >= seat.idle_since.plus(PREPARE)).then(|| format!("not prepared within {} s", PREPARE.as_secs()))
        }
        Link::Up(_) => {
            let until = stuck_at(team, seat)?;
            (now >= until).then(|| format!("no progress for {} s", seconds(seat.moved)))
        }
    }
}

/// When [`gives_up`] will have something to say, if nothing else happens.
fn seat_deadline(team: &Team, seat: &Seat) -> Timestamp {
    let silent = seat.heard.plus(SILENCE);
    match seat.link {
        Link::None => seat.heard.plus(PREPARE),
        Link::Down(until) => until,
        Link::Up(_) if seat.prepared.is_none() => silent.min(seat.idle_since.plus(PREPARE)),
        Link::Up(_) => stuck_at(team, seat).map_or(silent, |stuck| silent.min(stuck)),
    }
}

/// When a member that makes no progress is to blame for it: it computes, or it was told to leave.
fn stuck_at(team: &Team, seat: &Seat) -> Option<Timestamp> {
    let current = team.current.as_ref().filter(|_| seat.member)?;
    let phase = seat.life.phase.as_str();
    let computes = !WAITING.contains(&phase) && !STORING.contains(&phase);
    // Nobody knows yet how long a lane takes: one of a large network may take a minute.
    let limit = if computes && seat.life.longest == 0.0 { PREPARE } else { limit(seat) };
    (current.ready && computes || current.is_aborting()).then(|| seat.moved.plus(limit))
}

/// How long a phase may take.
fn limit(seat: &Seat) -> Duration {
    let longest = Duration::try_from_secs_f64(seat.life.longest).unwrap_or(Duration::ZERO);
    SILENCE.max(longest.saturating_mul(STUCK_FACTOR))
}

/// "3 to 5" of lanes by rank.
fn lanes_of(lanes: &[u32], rank: usize) -> String {
    let first = lanes.iter().take(rank).fold(0_u32, |sum, held| sum.saturating_add(*held));
    match lanes.get(rank).copied().unwrap_or(0) {
        0 => "none".into(),
        1 => first.to_string(),
        held => format!("{first} to {}", first.saturating_add(held - 1)),
    }
}
