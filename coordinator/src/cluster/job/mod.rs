//! One job: what it is, and what it becomes when something happens.
//!
//! Each event changes what is known of a seat (`joining`, `told`, `loss`, `watchdog`) or what is wanted (`wishes`);
//! then `Job::settle` looks at who is there and does what follows. So there is one place that begins
//! generations and one that ends them, whatever led there.

mod begin;
mod checkpoints;
mod ending;
mod integrity;
mod joining;
mod loss;
mod machine;
mod recorder;
mod reports;
mod restored;
mod settle;
mod state;
mod team;
mod told;
mod transport;
mod waits;
mod watchdog;
mod wishes;

use std::collections::BTreeSet;
use std::path::PathBuf;

use lockstep_proto::identity::{JobId, NodeId, WorkerId};
use lockstep_proto::job::{DeviceKind, Job as JobSpec};
use lockstep_proto::ledger::Ledger;
use lockstep_proto::slot::SlotDevice;

pub(super) use state::JobEvent;
pub use state::State;
pub use team::{Current, Link, Seat, Stage, Team};

use super::command::Command;
use super::entropy::Entropy;
use super::event::{Assignment, Submission, Ticket};
use super::facts::{CheckpointFact, EvaluationReport, Fingerprint, RunFacts, StepReport};
use super::record::{Bits, GenerationRecord, Placement, Record, RunRecord};
use super::scheduler::Want;
use super::time::Timestamp;
use integrity::Integrity;
use loss::Losses;
use waits::Waits;

/// Evaluations kept for those who begin to watch late.
const EVALUATIONS_KEPT: usize = 1000;
/// Worker processes of a job.
pub const MOST_WORKERS: u32 = 65_536;

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
    /// Folders whose checkpoints it may go on from, beside its own.
    pub from: Vec<String>,
    /// Workers with lanes that it asks for.
    pub workers: u32,
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
    /// Its workers by rank, in the newest generation.
    pub placements: Vec<Placement>,
    /// How far it is.
    pub progress: Progress,
    /// Checkpoints on disk, oldest first.
    pub checkpoints: Vec<CheckpointFact>,
    generations: Vec<GenerationRecord>,
    /// The highest generation that anybody has spoken of.
    highest_generation: u64,
    /// Names of checkpoints that are not to be gone on from: unreadable, or in doubt.
    unusable: BTreeSet<String>,
    /// Who waits for a checkpoint.
    checkpoint_tickets: Vec<Ticket>,
    losses: Losses,
    waits: Waits,
    integrity: Integrity,
}

/// Whether a job of this file can run at all; else why not.
pub fn check(spec: &JobSpec) -> Result<(), String> {
    if spec.batch.micro_batch == 0 || spec.batch.lanes() == 0 {
        return Err("batch.size must be a multiple of batch.micro_batch, at least 1".into());
    }
    if !(1..=MOST_WORKERS).contains(&spec.cluster.workers) {
        return Err(format!("cluster.workers must be 1 to {MOST_WORKERS}"));
    }
    Ok(())
}

/// How far a job is.
#[derive(Debug, Default)]
pub struct Progress {
    /// What its workers found.
    pub facts: RunFacts,
    /// Of its workers.
    pub fingerprint: Fingerprint,
    /// The newest step report.
    pub step: StepReport,
    /// The newest evaluations.
    pub evaluations: Vec<EvaluationReport>,
    /// The newest step that was probed, and the probes' titles.
    pub probed: (u64, BTreeSet<String>),
    /// Committed steps, as far as they are recorded.
    pub ledger: Ledger,
    /// Reports up to this step are recorded.
    pub recorded_step: u64,
    /// The batch that is being recorded.
    batch: Option<Recording>,
    /// A generation of whose reports some were not recorded, for want of room.
    incomplete: Option<u64>,
    /// A generation whose speaker was asked to say all again, and has not yet.
    asked: Option<u64>,
}

/// A batch that is being recorded.
#[derive(Clone, Copy, Debug)]
struct Recording {
    /// Whose.
    generation: u64,
    /// The first row that it replaces.
    first_row: usize,
    /// What was recorded before.
    step: u64,
}

/// What a decision draws on beside its job, and what it orders.
pub(super) struct Turn<'a> {
    pub now: Timestamp,
    pub entropy: &'a mut Entropy,
    /// Carried out before the job's new state is recorded.
    pub records: Vec<Command>,
    /// Carried out after.
    pub orders: Vec<Command>,
    /// Workers that the job has no more use for.
    pub dismissed: Vec<WorkerId>,
    /// Workers whose processes are to be ended by force, and why.
    pub stopped: Vec<(WorkerId, String)>,
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
            workers: submission.spec.cluster.workers,
            spec: submission.spec,
            toml: submission.toml,
            command: submission.command,
            run_folder,
            from: submission.from,
            state: State::Queued,
            reason: "submitted".into(),
            submitted: now,
            started: None,
            ended: None,
            placements: Vec::new(),
            progress: Progress::default(),
            checkpoints: Vec::new(),
            highest_generation: submission.history.last().map_or(0, |newest| newest.number),
            generations: submission.history,
            unusable: BTreeSet::new(),
            checkpoint_tickets: Vec::new(),
            losses: Losses::default(),
            waits: Waits::default(),
            integrity: Integrity::default(),
        }
    }

    /// What its workers are for.
    pub fn assignment(&self) -> Assignment {
        Assignment {
            job: self.id.clone(),
            name: self.name.clone(),
            toml: self.toml.clone(),
            run_folder: self.run_folder.clone(),
            command: self.command.clone(),
            from: self.from.clone(),
        }
    }

    /// The job's row.
    pub fn record(&self) -> Record {
        Record {
            job: self.id.clone(),
            name: self.name.clone(),
            toml: self.toml.clone(),
            command: self.command.clone(),
            run_folder: self.run_folder.clone(),
            state: self.state.name(),
            reason: self.reason.clone(),
            bad_input: matches!(&self.state, State::Failed(failure) if failure.bad_input),
            diverged: match &self.state {
                State::Failed(failure) => failure.diverged,
                _ => None,
            },
            submitted: self.submitted,
            started: self.started,
            ended: self.ended,
            outcome: self.state.outcome().cloned(),
            placements: self.placements.clone(),
            workers: self.workers,
            from: self.from.clone(),
            generation: self.highest_generation,
            members: self.state.team().map(Team::known).unwrap_or_default(),
            generation_id: self.state.generation().map(|generation| generation.id),
            facts: self.progress.facts.clone(),
            fingerprint: self.progress.fingerprint.clone(),
        }
    }

    /// Workers that it wants, those without lanes included.
    fn wanted(&self) -> usize {
        self.workers.saturating_add(self.spec.cluster.spares) as usize
    }

    /// Kind of device that it wants: once it has run, the one that its results depend on.
    fn device(&self) -> Option<SlotDevice> {
        match self.spec.cluster.device {
            DeviceKind::Cpu => Some(SlotDevice::Cpu),
            DeviceKind::Cuda => Some(SlotDevice::Cuda),
            DeviceKind::Auto => SlotDevice::from_name(&self.progress.fingerprint.device),
        }
    }

    /// Slots that it wants now.
    pub(super) fn want(&self) -> Option<Want> {
        let excluded: Vec<NodeId> = self.losses.excluded().cloned().collect();
        let (wanted, device) = (self.wanted(), self.device());
        match &self.state {
            State::Queued => Some(Want { job: self.id.clone(), slots: wanted as u32, device, gang: true, excluded }),
            State::Active(team) if team.wish.is_none() => {
                let there = team.staying();
                let missing = wanted.saturating_sub(there) as u32;
                (missing > 0).then(|| Want { job: self.id.clone(), slots: missing, device, gang: false, excluded })
            }
            State::Active(_)
            | State::Paused
            | State::Completed(_)
            | State::Failed(_)
            | State::Cancelled(_)
            | State::Interrupted(_) => None,
        }
    }

    /// The number of the newest generation; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.highest_generation
    }

    /// Seconds until the last step at the newest rate; none before a rate is known.
    pub fn seconds_left(&self) -> Option<f64> {
        let step = &self.progress.step;
        let steps = self.progress.facts.total_steps.checked_sub(step.step)?;
        let seconds = steps as f64 * f64::from(self.spec.batch.size_at(step.epoch)) / step.samples_per_second;
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
            bits: if self.is_reproducible() { Bits::OfTheJob } else { Bits::OfItsWorkersToo },
            generations: self.generations.clone(),
        }
    }

    fn save_run(&self, turn: &mut Turn<'_>) {
        let run = Box::new(self.run_record());
        turn.records.push(Command::SaveRun { job: self.id.clone(), run });
    }

    fn log(&self, lines: Vec<String>, turn: &mut Turn<'_>) {
        if !lines.is_empty() {
            turn.orders.push(Command::Log { job: self.id.clone(), lines });
        }
    }
}
