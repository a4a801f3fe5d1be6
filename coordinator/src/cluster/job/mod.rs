//! One job: what it is, and what it becomes when something happens.

mod crew;
mod ending;
mod machine;
mod membership;
mod state;

use std::path::PathBuf;

use lockstep_proto::identity::JobId;
use lockstep_proto::job::Job as JobSpec;

pub use crew::{Crew, Seat};
pub use state::{Failure, State, Team};
pub(super) use state::{JobEvent, News, Sign, Told};

use super::command::Command;
use super::entropy::Entropy;
use super::event::Submission;
use super::facts::{EvaluationReport, Fingerprint, RunFacts, StepReport};
use super::record::{GenerationRecord, Placement, Record, RunRecord, StateName};
use super::time::Timestamp;

/// Evaluations kept for those who begin to watch late.
const EVALUATIONS_KEPT: usize = 1000;

/// A job.
#[derive(Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// For people.
    pub name: String,
    /// As parsed.
    pub spec: JobSpec,
    /// As handed in.
    pub toml: String,
    /// The command line that handed it in.
    pub command: String,
    /// Where its files are.
    pub run_folder: PathBuf,
    /// What it is.
    pub state: State,
    /// Why it is that.
    pub reason: String,
    /// When it was handed in.
    pub submitted: Timestamp,
    /// When its first generation was ready.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Its workers by rank, once dealt.
    pub placements: Vec<Placement>,
    /// How far it is.
    pub progress: Progress,
    generations: Vec<GenerationRecord>,
}

/// How far a job is.
#[derive(Debug, Default)]
pub struct Progress {
    /// What its workers found.
    pub facts: RunFacts,
    /// Fingerprint of rank 0.
    pub fingerprint: Fingerprint,
    /// The newest step report.
    pub step: StepReport,
    /// The newest evaluations.
    pub evaluations: Vec<EvaluationReport>,
}

/// What a decision draws on beside its job, and what it orders.
pub(super) struct Turn<'a> {
    pub now: Timestamp,
    pub entropy: &'a mut Entropy,
    /// Carried out before the job's new state is recorded.
    pub records: Vec<Command>,
    /// Carried out after.
    pub orders: Vec<Command>,
}

impl Turn<'_> {
    fn ignore(&mut self, reason: String) {
        self.orders.push(Command::Ignore { reason });
    }
}

impl Job {
    /// A job as handed in.
    pub fn submitted(id: JobId, submission: Submission, run_folder: PathBuf, now: Timestamp) -> Self {
        Self {
            id,
            name: submission.name,
            spec: submission.spec,
            toml: submission.toml,
            command: submission.command,
            run_folder,
            state: State::Queued,
            reason: "submitted".into(),
            submitted: now,
            started: None,
            ended: None,
            placements: Vec::new(),
            progress: Progress::default(),
            generations: Vec::new(),
        }
    }

    /// The job's row.
    pub fn record(&self) -> Record {
        let bad_input = matches!(&self.state, State::Failed(Failure { bad_input: true, .. }));
        Record {
            job: self.id.clone(),
            name: self.name.clone(),
            toml: self.toml.clone(),
            command: self.command.clone(),
            run_folder: self.run_folder.clone(),
            state: self.state.name(),
            reason: self.reason.clone(),
            bad_input,
            submitted: self.submitted,
            started: self.started,
            ended: self.ended,
            outcome: self.state.outcome().cloned(),
            placements: self.placements.clone(),
            workers: self.spec.cluster.workers,
        }
    }

    /// A job from its row; what ran when the coordinator went down failed with it, and so did what this version
    /// can't read any more.
    pub fn restored(record: Record, now: Timestamp) -> Self {
        let spec = JobSpec::from_toml(&record.toml);
        let lost = match (record.state, &record.outcome, &spec) {
            (StateName::Queued, _, Err(error)) => Some(format!("its job file can't be read any more: {error}")),
            (before @ (StateName::Starting | StateName::Running | StateName::Stopping), ..)
            | (before @ StateName::Completed, None, _) => {
                Some(format!("the coordinator restarted while the job was {}", before.as_str()))
            }
            (StateName::Queued | StateName::Completed, ..)
            | (StateName::Failed | StateName::Cancelled | StateName::Interrupted, ..) => None,
        };
        let ended = if lost.is_some() { Some(now) } else { record.ended };
        let reason = lost.clone().unwrap_or(record.reason);
        let state = match (lost, record.state, record.outcome) {
            (Some(reason), ..) => State::Failed(Failure { reason, bad_input: false }),
            (None, StateName::Completed, Some(outcome)) => State::Completed(outcome),
            (None, StateName::Cancelled, outcome) => State::Cancelled(outcome),
            (None, StateName::Interrupted, outcome) => State::Interrupted(outcome),
            (None, StateName::Failed, _) => {
                State::Failed(Failure { reason: reason.clone(), bad_input: record.bad_input })
            }
            (
                None,
                StateName::Queued
                | StateName::Starting
                | StateName::Running
                | StateName::Stopping
                | StateName::Completed,
                _,
            ) => State::Queued,
        };
        Self {
            id: record.job,
            name: record.name,
            spec: spec.unwrap_or_default(),
            toml: record.toml,
            command: record.command,
            run_folder: record.run_folder,
            state,
            reason,
            submitted: record.submitted,
            started: record.started,
            ended,
            placements: record.placements,
            progress: Progress::default(),
            generations: Vec::new(),
        }
    }

    /// Seconds until the last step at the newest rate; none before a rate is known.
    pub fn seconds_left(&self) -> Option<f64> {
        let step = &self.progress.step;
        let steps = self.progress.facts.total_steps.checked_sub(step.step)?;
        let seconds = steps as f64 * f64::from(self.spec.batch.size) / step.samples_per_second;
        (seconds.is_finite() && self.state.outcome().is_none()).then_some(seconds)
    }

    /// Content of `run.json`.
    fn run_record(&self) -> RunRecord {
        RunRecord {
            job: self.id.to_string(),
            name: self.name.clone(),
            version: lockstep_proto::VERSION.into(),
            command: self.command.clone(),
            fingerprint: self.progress.fingerprint.clone(),
            facts: self.progress.facts.clone(),
            generations: self.generations.clone(),
        }
    }

    /// The number of the generation that this job would begin next.
    pub(super) fn next_generation(&self) -> u64 {
        self.generations.last().map_or(0, |generation| generation.number) + 1
    }

    fn remember(&mut self, evaluation: EvaluationReport) {
        if self.progress.evaluations.len() == EVALUATIONS_KEPT {
            self.progress.evaluations.remove(0);
        }
        self.progress.evaluations.push(evaluation);
    }
}
