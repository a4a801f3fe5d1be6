//! A job's states, each with what is known in it and nowhere else.

use crate::cluster::event::{Connection, WorkerHello};
use crate::cluster::event::{Exit, Failure, News, Wish};
use crate::cluster::facts::Outcome;
use crate::cluster::record::StateName;
use lockstep_proto::identity::{Generation, NodeId, WorkerId};

use super::team::{Seat, Team};

/// What a job is.
#[derive(Debug)]
pub enum State {
    /// Waits for slots.
    Queued,
    /// Has workers: they come up, make steps, regroup or stop.
    Active(Box<Team>),
    /// Has given its slots back, and goes on from a checkpoint when it is resumed.
    Paused,
    /// All steps are done.
    Completed(Outcome),
    /// It could not go on.
    Failed(Failure),
    /// A user ended it; the outcome if it had begun.
    Cancelled(Option<Outcome>),
    /// A signal ended it; the outcome if it had begun.
    Interrupted(Option<Outcome>),
}

impl State {
    /// Its name.
    pub fn name(&self) -> StateName {
        match self {
            Self::Queued => StateName::Queued,
            Self::Active(team) => team.state_name(),
            Self::Paused => StateName::Paused,
            Self::Completed(_) => StateName::Completed,
            Self::Failed(_) => StateName::Failed,
            Self::Cancelled(_) => StateName::Cancelled,
            Self::Interrupted(_) => StateName::Interrupted,
        }
    }

    /// What came out, if anything did.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Completed(outcome) => Some(outcome),
            Self::Cancelled(outcome) | Self::Interrupted(outcome) => outcome.as_ref(),
            Self::Queued | Self::Active(_) | Self::Paused | Self::Failed(_) => None,
        }
    }

    /// Who works for the job now.
    pub fn team(&self) -> Option<&Team> {
        match self {
            Self::Active(team) => Some(team),
            Self::Queued
            | Self::Paused
            | Self::Completed(_)
            | Self::Failed(_)
            | Self::Cancelled(_)
            | Self::Interrupted(_) => None,
        }
    }

    /// The generation that is under way.
    pub fn generation(&self) -> Option<Generation> {
        self.team()?.current.as_ref().map(|current| current.generation)
    }

    /// Who works for the job now.
    pub fn team_mut(&mut self) -> Option<&mut Team> {
        match self {
            Self::Active(team) => Some(team),
            Self::Queued
            | Self::Paused
            | Self::Completed(_)
            | Self::Failed(_)
            | Self::Cancelled(_)
            | Self::Interrupted(_) => None,
        }
    }
}

/// What may happen to one job.
#[derive(Debug)]
pub(in crate::cluster) enum JobEvent {
    /// The scheduler gave it slots.
    Allotted(Vec<Seat>),
    /// A worker said hello, for the first time or again.
    Joined { connection: Connection, hello: Box<WorkerHello> },
    /// A worker's stream ended.
    Disconnected { worker: WorkerId, cause: String },
    /// A worker's process ended.
    Gone { worker: WorkerId, exit: Exit },
    /// A worker says something.
    Told { worker: WorkerId, news: News },
    /// A worker's weights are in the run folder.
    Stored { worker: WorkerId, sha256: String },
    /// A node's agent wants to be rid of its workers.
    NodeLeaves { node: NodeId, reason: String },
    /// A record could not be made durable.
    StorageFailed { cause: String, full: bool },
    /// A user wants something that changes it.
    Asked(Wish),
    /// A signal wants it to end.
    Interrupted { reason: String },
    /// Time passed.
    Tick,
}
