//! What a coordinator's database would hold, kept by a test: it can be read after a restart, copied and lost.

use std::collections::BTreeMap;

use lockstep_proto::identity::JobId;
use lockstep_proto::ledger::Ledger;

use crate::cluster::Command;
use crate::cluster::facts::{CheckpointFact, Report};
use crate::cluster::record::{GenerationRecord, Record, Restored};

/// All that was made durable.
#[derive(Clone, Default)]
pub struct Memory(BTreeMap<JobId, Saved>);

#[derive(Clone, Default)]
struct Saved {
    record: Option<Record>,
    recorded_step: u64,
    ledger: Ledger,
    checkpoints: Vec<CheckpointFact>,
    generations: Vec<GenerationRecord>,
    measured: Vec<Report>,
}

impl Memory {
    /// Makes a record durable; other commands are none.
    pub fn save(&mut self, command: &Command) {
        match command {
            Command::SaveJob { record } => self.of(&record.job).record = Some((**record).clone()),
            Command::SaveGeneration { job, generation } => self.of(job).generations.push((**generation).clone()),
            Command::SaveCheckpoints { job, checkpoints } => self.of(job).checkpoints.clone_from(checkpoints),
            Command::AppendReports { job, first_row, rows, step, reports } => {
                let saved = self.of(job);
                saved.ledger.replace_from(*first_row, rows).expect("rows that follow those before");
                saved.recorded_step = *step;
                saved.measured.extend(reports.iter().cloned());
            }
            Command::VoidAbove { job, step, rows, recorded } => {
                let saved = self.of(job);
                saved.ledger.replace_from(*rows, &[]).expect("no more rows than there are");
                saved.recorded_step = *recorded;
                saved.measured.retain(|report| report.step() <= *step);
            }
            _ => {}
        }
    }

    /// All jobs, in the order of submission.
    pub fn jobs(&self) -> Vec<Restored> {
        let restored = |saved: &Saved| {
            Some(Restored {
                record: saved.record.clone()?,
                recorded_step: saved.recorded_step,
                ledger: saved.ledger.clone(),
                checkpoints: saved.checkpoints.clone(),
                generations: saved.generations.clone(),
                measured: saved.measured.clone(),
            })
        };
        self.0.values().filter_map(restored).collect()
    }

    /// The membership that a restart would believe in: number, and workers by rank.
    pub fn membership(&self, job: &JobId) -> Option<(u64, Vec<String>)> {
        let record = self.0.get(job)?.record.as_ref()?;
        Some((record.generation, record.members.iter().map(|member| member.worker.clone()).collect()))
    }

    fn of(&mut self, job: &JobId) -> &mut Saved {
        self.0.entry(job.clone()).or_default()
    }
}
