//! The workers of a job: who they are, what they do, and the generation that is under way.

use lockstep_proto::identity::{Generation, NodeId, WorkerId};

use crate::cluster::command::From;
use crate::cluster::event::{Connection, SignOfLife, WorkerHello};
use crate::cluster::facts::{Held, Outcome, Prepared, StopReason};
use crate::cluster::record::{Member, Placement, StateName};
use crate::cluster::time::Timestamp;
use crate::cluster::timeouts::RECONNECT;

use super::recorder::Recorder;

/// A job's workers.
#[derive(Debug)]
pub struct Team {
    /// In the order in which they were asked for.
    pub seats: Vec<Seat>,
    /// The generation that is under way.
    pub current: Option<Current>,
    /// What somebody wants to become of the job.
    pub wish: Option<Wanted>,
    /// Why no generation may begin now: a disk without room.
    pub hold: Option<Hold>,
    /// A generation was ready before.
    pub begun: bool,
    /// Until when others may come back that the coordinator has forgotten: they may hold more than those who are here.
    pub gathers: Option<Timestamp>,
    /// When the first process was asked for.
    pub since: Timestamp,
}

/// What somebody wants to become of a job.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What.
    pub why: StopReason,
    /// In words.
    pub reason: String,
}

/// Why no generation may begin now.
#[derive(Clone, Debug)]
pub struct Hold {
    /// In words.
    pub reason: String,
    /// Who tells when there is room.
    pub until: Room,
}

/// What ends a [`Hold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// It is the coordinator's own disk: records are tried again then.
    Retry(Timestamp),
    /// This worker tries to write its checkpoint until it can.
    Written(WorkerId),
}

impl Hold {
    /// When records are tried again.
    pub fn retry(&self) -> Option<Timestamp> {
        match self.until {
            Room::Retry(at) => Some(at),
            Room::Written(_) => None,
        }
    }

    /// Who would tell of room.
    pub fn writer(&self) -> Option<&WorkerId> {
        match &self.until {
            Room::Retry(_) => None,
            Room::Written(writer) => Some(writer),
        }
    }
}

/// A generation that is under way.
#[derive(Debug)]
pub struct Current {
    /// Which.
    pub generation: Generation,
    /// By rank.
    pub members: Vec<WorkerId>,
    /// By rank: lanes of a full batch.
    pub lanes: Vec<u32>,
    /// The step that it began at.
    pub first_step: u64,
    /// Where the state came from, and the rank that had it; unknown of one that was taken over.
    pub start: Option<(From, u32)>,
    /// All members were ready.
    pub ready: bool,
    /// What is to become of it.
    pub stage: Stage,
    /// When all members were last told what is durable.
    pub acknowledged: Timestamp,
}

/// What is to become of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It goes on.
    Going,
    /// Its members were asked to stop after a step.
    Stopping(StopReason),
    /// Its members were told to leave at once, and why.
    Aborting(String),
}

/// A worker as its job knows it.
#[derive(Debug)]
pub struct Seat {
    /// Which.
    pub worker: WorkerId,
    /// Where.
    pub node: NodeId,
    /// Where, for people.
    pub host: String,
    /// Threads that it was started with.
    pub threads: u32,
    /// Its first words, once said.
    pub hello: Option<WorkerHello>,
    /// As others knew it in an earlier life of the coordinator.
    pub before: Option<Member>,
    /// Its stream.
    pub link: Link,
    /// When it last said anything, or was asked for.
    pub heard: Timestamp,
    /// How far it is, as it tells.
    pub life: SignOfLife,
    /// When that last changed.
    pub moved: Timestamp,
    /// What it found, once prepared, and when.
    pub prepared: Option<Prepared>,
    /// It takes part in the current generation and has not left it.
    pub member: bool,
    /// It said that the current generation is ready.
    pub ready: bool,
    /// What came out of the current generation, if it ended as wanted.
    pub outcome: Option<Outcome>,
    /// What it holds in memory, when it is in no generation.
    pub held: Option<Held>,
    /// What it holds is in doubt, and not to be gone on from.
    pub doubted: bool,
    /// Hash of the weights that it stored.
    pub weights_sha256: Option<String>,
    /// It is to be taken out of the job at the next step boundary, and why.
    pub leaving: Option<String>,
    /// Since when it waits to take part.
    pub idle_since: Timestamp,
    /// Its last events, for people.
    pub recorder: Recorder,
}

/// A worker's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It has not said hello yet.
    None,
    /// It is open.
    Up(Connection),
    /// It is closed; the worker may come back until then.
    Down(Timestamp),
}

impl Seat {
    /// A worker that is about to be started.
    pub fn new(worker: WorkerId, node: NodeId, host: String, threads: u32, now: Timestamp) -> Self {
        Self {
            worker,
            node,
            host,
            threads,
            hello: None,
            before: None,
            link: Link::None,
            heard: now,
            life: SignOfLife::default(),
            moved: now,
            prepared: None,
            member: false,
            ready: false,
            outcome: None,
            held: None,
            doubted: false,
            weights_sha256: None,
            leaving: None,
            idle_since: now,
            recorder: Recorder::default(),
        }
    }

    /// A worker of an earlier life of the coordinator, which may come back until `until`.
    pub fn away(member: &Member, host: String, until: Timestamp, now: Timestamp) -> Option<Self> {
        let worker = WorkerId::try_from(member.worker.as_str()).ok()?;
        let node = NodeId::try_from(member.node.as_str()).ok()?;
        let mut seat = Self::new(worker, node, host, member.threads, now);
        (seat.link, seat.before) = (Link::Down(until), Some(member.clone()));
        Some(seat)
    }

    /// Its stream is open.
    pub fn connected(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    /// It is of an earlier life of the coordinator and was not heard of since.
    pub fn returning(&self) -> bool {
        self.hello.is_none() && self.before.is_some()
    }

    /// It is in the current generation, or has finished it and waits for the others.
    pub fn bound(&self) -> bool {
        self.member || self.outcome.is_some()
    }

    /// It comes up, or it was never prepared.
    pub fn coming(&self) -> bool {
        self.prepared.is_none() && !self.member
    }

    /// It could take part in a generation that begins now.
    pub fn able(&self) -> bool {
        self.connected() && self.prepared.is_some() && !self.bound() && self.leaving.is_none()
    }

    /// As others see it, with these lanes.
    pub fn as_member(&self, lanes: u32) -> Option<Member> {
        let Some(hello) = &self.hello else {
            return self.before.clone().map(|before| Member { lanes, ..before });
        };
        Some(Member {
            worker: self.worker.to_string(),
            node: self.node.to_string(),
            data_address: hello.data_address.clone(),
            unix_address: hello.unix_address.clone(),
            threads: hello.threads,
            lanes,
        })
    }
}

impl Team {
    /// Workers that were just asked for.
    pub fn new(seats: Vec<Seat>, now: Timestamp) -> Self {
        Self { seats, current: None, wish: None, hold: None, begun: false, gathers: None, since: now }
    }

    /// Time that the coordinator missed does not count.
    pub fn forgive(&mut self, now: Timestamp) {
        for seat in &mut self.seats {
            (seat.heard, seat.moved) = (now, now);
            if seat.prepared.is_none() {
                seat.idle_since = now;
            }
            if let Link::Down(until) = &mut seat.link {
                *until = now.plus(RECONNECT);
            }
        }
    }

    /// What the job is called now.
    pub fn state_name(&self) -> StateName {
        let going = self.current.as_ref().is_some_and(|current| current.ready && !current.is_aborting());
        match &self.wish {
            Some(Wanted { why: StopReason::Paused, .. }) => StateName::Pausing,
            Some(_) => StateName::Stopping,
            None if self.hold.is_some() => StateName::Paused,
            None if going => StateName::Running,
            None if self.begun => StateName::Recovering,
            None => StateName::Starting,
        }
    }

    /// How many are not to leave.
    pub fn staying(&self) -> usize {
        self.seats.iter().filter(|seat| seat.leaving.is_none()).count()
    }

    /// Members of the generation that is under way, by rank; in none all workers that may take part in the next.
    pub fn known(&self) -> Vec<Member> {
        match &self.current {
            Some(current) => {
                let placed = current.members.iter().zip(&current.lanes);
                placed.filter_map(|(worker, lanes)| self.seat(worker)?.as_member(*lanes)).collect()
            }
            None => self.seats.iter().filter_map(|seat| seat.as_member(0)).collect(),
        }
    }

    /// What some other worker than this has said.
    pub fn hello_of_another(&self, worker: &WorkerId) -> Option<&WorkerHello> {
        self.seats.iter().filter_map(|seat| seat.hello.as_ref()).find(|other| other.worker != *worker)
    }

    /// A worker's seat.
    pub fn seat(&self, worker: &WorkerId) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.worker == *worker)
    }

    /// A worker's seat.
    pub fn seat_mut(&mut self, worker: &WorkerId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.worker == *worker)
    }

    /// The rank of a worker in the current generation.
    pub fn rank(&self, worker: &WorkerId) -> Option<usize> {
        self.current.as_ref()?.members.iter().position(|member| member == worker)
    }

    /// "rank 1 on host a", or "a worker on host a" for one without a rank.
    pub fn name(&self, worker: &WorkerId) -> String {
        let host = self.seat(worker).map_or("?", |seat| seat.host.as_str());
        match self.rank(worker) {
            Some(rank) => format!("rank {rank} on host {host}"),
            None => format!("a worker on host {host}"),
        }
    }

    /// Those who have not left the current generation.
    pub fn members(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| seat.member)
    }

    /// Where everyone runs, for people: members by rank.
    pub fn placements(&self) -> Vec<Placement> {
        let Some(current) = &self.current else { return Vec::new() };
        let placed = current.members.iter().zip(&current.lanes).enumerate();
        let placement = |(rank, (worker, lanes)): (usize, (&WorkerId, &u32))| {
            let seat = self.seat(worker)?;
            let hello = seat.hello.as_ref();
            Some(Placement {
                rank: rank as u32,
                worker: worker.to_string(),
                node: seat.node.to_string(),
                host: seat.host.clone(),
                lanes: *lanes,
                threads: hello.map_or(seat.threads, |hello| hello.threads),
                instruction_set: hello.map(|hello| hello.fingerprint.instruction_set.clone()).unwrap_or_default(),
            })
        };
        placed.filter_map(placement).collect()
    }
}

impl Current {
    /// Whether its members were told to leave.
    pub fn is_aborting(&self) -> bool {
        matches!(self.stage, Stage::Aborting(_))
    }
}
