//! A job's states, each with what is known in it and nowhere else.

use std::time::Duration;

use lockstep_proto::identity::Generation;

use super::crew::Crew;
use crate::cluster::event::{Exit, WorkerHello};
use crate::cluster::facts::{Outcome, Report, RunFacts, StopReason};
use crate::cluster::record::StateName;
use crate::cluster::time::Timestamp;
use lockstep_proto::identity::WorkerId;

/// How long the cause of a loss may take to arrive after its first sign.
pub(super) const EVIDENCE_GRACE: Duration = Duration::from_secs(2);
/// How long a started process may take to say hello.
pub(super) const HELLO_LIMIT: Duration = Duration::from_secs(120);

/// What a job is.
#[derive(Debug)]
pub enum State {
    /// Waits for slots.
    Queued,
    /// Its workers come up.
    Starting(Team),
    /// Steps are made.
    Running(Team),
    /// Told to end, or failing.
    Stopping(Stopping),
    /// All steps are done.
    Completed(Outcome),
    /// It could not go on.
    Failed(Failure),
    /// A user ended it; the outcome if it had begun.
    Cancelled(Option<Outcome>),
    /// A signal ended it; the outcome if it had begun.
    Interrupted(Option<Outcome>),
}

/// A crew, and its generation once all have said hello.
#[derive(Debug)]
pub struct Team {
    /// Who.
    pub crew: Crew,
    /// In which generation, once dealt.
    pub generation: Option<Generation>,
    /// When its processes were asked for.
    pub since: Timestamp,
}

/// A job that is to end.
#[derive(Debug)]
pub struct Stopping {
    /// Who is still there.
    pub team: Team,
    /// Why it is to end.
    pub why: Why,
}

/// Why a job is to end.
#[derive(Debug)]
pub enum Why {
    /// Workers were asked to stop after the step in flight.
    Asked(StopReason),
    /// A worker is lost; the others were told to abort.
    Lost(Evidence),
}

/// The first sign of a loss, while its cause may still arrive.
#[derive(Debug)]
pub struct Evidence {
    /// Who.
    pub worker: WorkerId,
    /// In words, with rank and host.
    pub reason: String,
    /// The worker's own words, not just silence.
    pub told: bool,
    /// When it arrived.
    pub since: Timestamp,
    /// What somebody wanted before: it goes before the loss.
    pub wish: Option<StopReason>,
}

/// Why a job failed.
#[derive(Debug)]
pub struct Failure {
    /// In words.
    pub reason: String,
    /// Whether the job file or its data are to blame.
    pub bad_input: bool,
}

impl State {
    /// Its name.
    pub fn name(&self) -> StateName {
        match self {
            Self::Queued => StateName::Queued,
            Self::Starting(_) => StateName::Starting,
            Self::Running(_) => StateName::Running,
            Self::Stopping(_) => StateName::Stopping,
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
            Self::Queued | Self::Starting(_) | Self::Running(_) | Self::Stopping(_) | Self::Failed(_) => None,
        }
    }

    /// Who works for the job now.
    pub fn team_mut(&mut self) -> Option<&mut Team> {
        match self {
            Self::Starting(team) | Self::Running(team) | Self::Stopping(Stopping { team, .. }) => Some(team),
            Self::Queued | Self::Completed(_) | Self::Failed(_) | Self::Cancelled(_) | Self::Interrupted(_) => None,
        }
    }

    /// Who works for the job now.
    pub fn team(&self) -> Option<&Team> {
        match self {
            Self::Starting(team) | Self::Running(team) | Self::Stopping(Stopping { team, .. }) => Some(team),
            Self::Queued | Self::Completed(_) | Self::Failed(_) | Self::Cancelled(_) | Self::Interrupted(_) => None,
        }
    }

    /// When time alone will change it.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Starting(team) if team.generation.is_none() => Some(team.since.plus(HELLO_LIMIT)),
            Self::Stopping(Stopping { why: Why::Lost(evidence), .. }) => Some(evidence.since.plus(EVIDENCE_GRACE)),
            Self::Queued
            | Self::Starting(_)
            | Self::Running(_)
            | Self::Stopping(Stopping { why: Why::Asked(_), .. })
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
    Allotted(Crew),
    /// A worker said hello.
    Joined(Box<WorkerHello>),
    /// A message of a worker about its generation.
    Told(Told),
    /// A worker can't go on.
    Trouble { worker: WorkerId, sign: Sign },
    /// A worker's weights are in the run folder.
    Stored { worker: WorkerId, sha256: String },
    /// A record could not be made durable.
    StorageFailed { cause: String },
    /// Somebody wants it to end.
    StopWanted { why: StopReason, reason: String },
    /// Time passed.
    Tick,
}

/// A sign that a worker is lost.
#[derive(Debug)]
pub(in crate::cluster) enum Sign {
    /// It says that it can't go on.
    Failed { generation: Option<Generation>, failure: Failure },
    /// Its connection ended.
    Silent { cause: String },
    /// Its process ended.
    Exited(Exit),
}

/// A message of a worker about its generation.
#[derive(Debug)]
pub(in crate::cluster) struct Told {
    pub worker: WorkerId,
    pub generation: Generation,
    pub news: News,
}

/// What a worker tells about its generation.
#[derive(Debug)]
pub(in crate::cluster) enum News {
    /// It has data set and data plane.
    Ready(RunFacts),
    /// It measured something.
    Reports { first: u64, reports: Vec<Report> },
    /// Its loop ended by itself.
    Finished(Outcome),
}

impl News {
    /// For reasons.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready(_) => "readiness",
            Self::Reports { .. } => "a report",
            Self::Finished(_) => "the outcome",
        }
    }
}
