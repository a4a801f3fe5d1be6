//! The workers of a job, by rank.

use lockstep_proto::identity::{NodeId, WorkerId};

use crate::cluster::event::WorkerHello;
use crate::cluster::facts::{Outcome, RunFacts};
use crate::cluster::record::Placement;

/// The workers of a job, by rank.
#[derive(Debug)]
pub struct Crew {
    /// By rank.
    pub seats: Vec<Seat>,
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
    /// Lanes of a full batch that it holds.
    pub lanes: u32,
    /// Its first words, once said.
    pub hello: Option<WorkerHello>,
    /// What it found, once ready.
    pub facts: Option<RunFacts>,
    /// Its reports below this number are recorded.
    pub reports: u64,
    /// Hash of the weights that it stored.
    pub weights_sha256: Option<String>,
    /// What came out, once finished.
    pub outcome: Option<Outcome>,
    /// It said that it can't go on; it waits to be told to leave.
    pub failed: bool,
    /// Its process is gone.
    pub exited: bool,
}

impl Seat {
    /// A worker that is about to be started.
    pub fn new(worker: WorkerId, node: NodeId, host: String, threads: u32) -> Self {
        Self {
            worker,
            node,
            host,
            threads,
            lanes: 0,
            hello: None,
            facts: None,
            reports: 0,
            weights_sha256: None,
            outcome: None,
            failed: false,
            exited: false,
        }
    }
}

impl Crew {
    /// The rank of a worker.
    pub fn rank(&self, worker: &WorkerId) -> Option<usize> {
        self.seats.iter().position(|seat| seat.worker == *worker)
    }

    /// A worker's seat.
    pub fn seat_mut(&mut self, worker: &WorkerId) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.worker == *worker)
    }

    /// "rank 1 on host a", or the worker's id where it is not of this crew.
    pub fn name(&self, worker: &WorkerId) -> String {
        match self.rank(worker) {
            Some(rank) => format!("rank {rank} on host {}", self.seats[rank].host),
            None => format!("worker {worker}"),
        }
    }

    /// Workers that have not said hello.
    pub fn missing(&self) -> usize {
        self.seats.iter().filter(|seat| seat.hello.is_none()).count()
    }

    /// Whether every worker has data set and data plane.
    pub fn all_ready(&self) -> bool {
        self.seats.iter().all(|seat| seat.facts.is_some())
    }

    /// Whether every worker's loop ended by itself.
    pub fn all_finished(&self) -> bool {
        self.seats.iter().all(|seat| seat.outcome.is_some())
    }

    /// Whether no more can be learnt about a loss: every worker is gone or has said what it knows.
    pub fn all_accounted(&self) -> bool {
        self.seats.iter().all(|seat| seat.exited || seat.failed)
    }

    /// The first worker whose fingerprint isn't rank 0's, in words.
    pub fn fingerprint_mismatch(&self) -> Option<String> {
        let mut hellos = self.seats.iter().filter_map(|seat| seat.hello.as_ref());
        let first = &hellos.next()?.fingerprint;
        self.seats.iter().find_map(|seat| {
            let difference = first.difference(&seat.hello.as_ref()?.fingerprint)?;
            Some(format!("{}: its {difference} as rank 0 has", self.name(&seat.worker)))
        })
    }

    /// The first rank that found another data set than rank 0, in words.
    pub fn dataset_mismatch(&self) -> Option<String> {
        let first = &self.seats.first()?.facts.as_ref()?.dataset;
        self.seats.iter().find_map(|seat| {
            let dataset = &seat.facts.as_ref()?.dataset;
            let name = self.name(&seat.worker);
            (dataset != first).then(|| format!("{name}: its dataset is {dataset}, not {first} as rank 0 has"))
        })
    }

    /// The first rank whose outcome isn't rank 0's, in words.
    pub fn outcome_mismatch(&self) -> Option<String> {
        let first = self.seats.first()?.outcome.as_ref()?;
        self.seats.iter().find_map(|seat| {
            let difference = first.difference(seat.outcome.as_ref()?)?;
            Some(format!("{}: it tells of {difference} as rank 0", self.name(&seat.worker)))
        })
    }

    /// Where everyone runs, for people.
    pub fn placements(&self) -> Vec<Placement> {
        let placement = |(rank, seat): (usize, &Seat)| Placement {
            rank: rank as u32,
            worker: seat.worker.to_string(),
            node: seat.node.to_string(),
            host: seat.host.clone(),
            lanes: seat.lanes,
            threads: seat.hello.as_ref().map_or(seat.threads, |hello| hello.threads),
            instruction_set: seat
                .hello
                .as_ref()
                .map(|hello| hello.fingerprint.instruction_set.clone())
                .unwrap_or_default(),
        };
        self.seats.iter().enumerate().map(placement).collect()
    }
}
