//! The coordinator's state folder: what its records leave behind, in memory.

use lockstep_coordinator::cluster::Timestamp;
use lockstep_coordinator::cluster::facts::{CheckpointFact, Report};
use lockstep_coordinator::cluster::job::Job;
use lockstep_coordinator::cluster::record::{GenerationRecord, Record, Restored};
use lockstep_proto::ledger::{Ledger, LedgerRow};

/// What is on the disk of the one job that there is.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// The job's row; none before it was handed in.
    pub record: Option<Box<Record>>,
    /// Its committed steps.
    pub ledger: Ledger,
    /// Reports up to this step are recorded.
    pub recorded_step: u64,
    /// The list of its checkpoints.
    pub checkpoints: Vec<CheckpointFact>,
    /// Its memberships.
    generations: Vec<GenerationRecord>,
    /// The run folder's reports.
    pub reports: Vec<Report>,
}

impl Store {
    /// A membership.
    pub fn save_generation(&mut self, generation: GenerationRecord) {
        self.generations.retain(|known| known.number != generation.number);
        self.generations.push(generation);
        self.generations.sort_by_key(|known| known.number);
    }

    /// Progress, as the database has it: rows from `first_row` on are replaced. False if they leave a gap.
    pub fn save_progress(&mut self, first_row: usize, rows: &[LedgerRow], step: u64) -> bool {
        self.recorded_step = step;
        self.ledger.replace_from(first_row, rows).is_ok()
    }

    /// Reports, as the run folder takes them: what is there already is not added again.
    pub fn append(&mut self, reports: Vec<Report>) {
        for report in reports {
            let passes = self.reports.last().is_none_or(|last| place(last) < place(&report));
            if passes {
                self.reports.push(report);
            }
        }
    }

    /// Steps and rows that are durable.
    pub fn durable(&self) -> (u64, u64) {
        (self.recorded_step, self.ledger.rows().len() as u64)
    }

    /// The jobs of a coordinator that starts now.
    pub fn jobs(&self, now: Timestamp) -> Vec<Job> {
        let newest = self.reports.iter().rfind(|report| matches!(report, Report::Step(_)));
        let evaluations = self.reports.iter().filter(|report| matches!(report, Report::Evaluation(_)));
        let restored = |record: &Record| Restored {
            record: record.clone(),
            recorded_step: self.recorded_step,
            ledger: self.ledger.clone(),
            checkpoints: self.checkpoints.clone(),
            generations: self.generations.clone(),
            measured: evaluations.chain(newest).cloned().collect(),
        };
        self.record.as_deref().map(restored).into_iter().map(|restored| Job::restored(restored, now)).collect()
    }
}

/// Where a report is among all: by step, an evaluation behind the step's own.
pub fn place(report: &Report) -> (u64, bool) {
    (report.step(), matches!(report, Report::Evaluation(_)))
}
