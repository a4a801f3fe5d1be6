//! Histories of a cluster, by seed: the coordinator's and the workers' decisions are the real ones
//! ([`lockstep_coordinator::cluster`], [`lockstep_worker::control`]), all around them is a model without clocks,
//! threads or sockets. Messages are lost, doubled, late and out of order, processes are killed and stopped, disks are
//! full or lost, clocks jump; after everything that happens, invariants are looked at.
//!
//! A [`plan`] says what a seed's job is and what goes wrong when; the `world` lets it happen. The same seed gives the
//! same history, so one that was found wrong can be looked at: `LOCKSTEP_SIMULATION_SEED=n cargo test --release -p
//! lockstep-simulation` prints its trace.

mod agent;
mod coordinator;
mod disk;
mod faults;
mod group;
mod invariants;
mod model;
mod network;
mod orders;
pub mod plan;
mod random;
mod reports;
pub mod runner;
mod store;
mod trace;
mod trainer;
mod worker;
mod world;

use lockstep_coordinator::cluster::record::StateName;

pub use world::Counts;

use plan::Plan;
use world::World;

/// How a history is looked at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Something that is wrong on purpose: the invariants have to find it.
    pub bug: Option<Bug>,
    /// Whether the trace's lines are kept.
    pub trace: bool,
}

/// A mistake that the protocol must not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A worker takes part in a generation that is not above all that it has seen.
    AcceptsOldGenerations,
    /// A worker commits a step before all contributions have arrived.
    CommitsEarly,
    /// The coordinator acknowledges what is not on its disk.
    AcknowledgesBeforeRecording,
}

/// How a history came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The job ended, and all processes are gone.
    Job(StateName),
    /// The coordinator's state was lost, and then all who could have told of the job.
    Forgotten,
    /// An invariant was violated.
    Violated,
    /// Nothing happens any more.
    Silence,
    /// It takes too long.
    Patience,
}

/// What happened.
#[derive(Debug)]
pub struct History {
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub end: End,
    /// What it had.
    pub counts: Counts,
    /// Tells two histories apart.
    pub hash: u64,
    /// What must not be, and was.
    pub violation: Option<String>,
    /// The trace, if it was kept.
    pub lines: Vec<String>,
}

/// The history of a seed.
pub fn run(seed: u64, options: &Options) -> History {
    World::new(Plan::new(seed), options).run()
}
