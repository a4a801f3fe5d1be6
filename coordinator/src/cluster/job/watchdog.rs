//! Time passes: who is silent, stuck, or does not come is given up, with the culprit named.

use std::time::Duration;

use lockstep_proto::identity::WorkerId;

use super::team::{Link, Seat, Team};
use super::{Job, Turn, settle};
use crate::cluster::event::Failure;
use crate::cluster::time::Timestamp;
use crate::cluster::timeouts::{PREPARE, SILENCE, STUCK_FACTOR};

/// Phases in which a worker waits for others: without progress in one of them it is not to blame.
const WAITING: [&str; 2] = ["reduce", "start"];

impl Job {
    /// When time alone will change something.
    pub fn deadline(&self) -> Option<Timestamp> {
        let team = self.state.team()?;
        let seats = team.seats.iter().map(|seat| seat_deadline(team, seat));
        let hold = team.hold.as_ref().and_then(|hold| hold.retry);
        seats.chain(hold).chain(Self::gather_deadline(team)).min()
    }

    /// Gives up whom there is nothing to hope for; a failure where that ends the job.
    pub(super) fn watch(&mut self, team: &mut Team, turn: &mut Turn<'_>) -> Option<Failure> {
        self.retry_storage(team, turn);
        while let Some((worker, cause)) = self.overdue(team, turn.now) {
            turn.stopped.push((worker.clone(), cause.clone()));
            if let Some(failure) = self.lose(team, &worker, &cause, turn) {
                return Some(failure);
            }
        }
        self.watch_reduction(team, turn)
    }

    /// The first worker that is to be given up, and why.
    fn overdue(&self, team: &Team, now: Timestamp) -> Option<(WorkerId, String)> {
        team.seats.iter().find_map(|seat| {
            let cause = gives_up(team, seat, now)?;
            let rank = team.rank(&seat.worker);
            let lanes = team.current.as_ref().zip(rank).map(|(current, rank)| lanes_of(&current.lanes, rank));
            let lanes = lanes.map(|lanes| format!(", lanes {lanes}")).unwrap_or_default();
            let phase = if seat.life.phase.is_empty() { "start" } else { &seat.life.phase };
            Some((seat.worker.clone(), format!("{cause} (phase {phase}, step {}{lanes})", seat.life.step)))
        })
    }

    /// All wait for each other and nobody is to blame: a connection between nodes is cut. The generation is given up;
    /// the next one finds out who can't be reached.
    fn watch_reduction(&mut self, team: &mut Team, turn: &mut Turn<'_>) -> Option<Failure> {
        let current = team.current.as_ref().filter(|current| current.ready && !current.is_aborting())?;
        let stuck = |seat: &Seat| turn.now.since(seat.moved) >= limit(seat);
        let all_wait = team.members().all(|seat| WAITING.contains(&seat.life.phase.as_str()) && stuck(seat));
        if !all_wait {
            return None;
        }
        let waits = team.members().map(|seat| turn.now.since(seat.moved)).min().unwrap_or(Duration::ZERO);
        self.reason = format!(
            "the reduction behind step {} of generation {} did not finish within {} s: {} ranks wait for each other",
            team.members().map(|seat| seat.life.step).max().unwrap_or(0),
            current.generation,
            waits.as_secs(),
            current.members.len()
        );
        let worker = current.members.first().cloned()?;
        self.log(vec![self.reason.clone()], turn);
        settle::abort(team, self.reason.clone(), turn);
        self.broke_by_itself(team, &worker, None, turn)
    }
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
            let ready = team.current.as_ref().is_some_and(|current| current.ready);
            let judged = ready && seat.member && !WAITING.contains(&seat.life.phase.as_str());
            (judged && now >= seat.moved.plus(limit(seat)))
                .then(|| format!("no progress for {} s", seconds(seat.moved)))
        }
    }
}

/// When [`gives_up`] or the watch over reductions will have something to say, if nothing else happens.
fn seat_deadline(team: &Team, seat: &Seat) -> Timestamp {
    match seat.link {
        Link::None => seat.heard.plus(PREPARE),
        Link::Down(until) => until,
        Link::Up(_) if seat.prepared.is_none() => seat.heard.plus(SILENCE).min(seat.idle_since.plus(PREPARE)),
        Link::Up(_) => {
            let watched =
                seat.member && team.current.as_ref().is_some_and(|current| current.ready && !current.is_aborting());
            let silent = seat.heard.plus(SILENCE);
            if watched { silent.min(seat.moved.plus(limit(seat))) } else { silent }
        }
    }
}

/// How long a phase may take.
fn limit(seat: &Seat) -> Duration {
    let longest = Duration::try_from_secs_f64(seat.life.longest).unwrap_or(Duration::ZERO);
    SILENCE.max(longest.saturating_mul(STUCK_FACTOR))
}

/// "3 to 5" of lanes by rank.
fn lanes_of(lanes: &[u32], rank: usize) -> String {
    let first: u32 = lanes.iter().take(rank).sum();
    match lanes.get(rank).copied().unwrap_or(0) {
        0 => "none".into(),
        1 => first.to_string(),
        held => format!("{first} to {}", first + held - 1),
    }
}
