//! The coordinator's state folder: what its records leave behind, in memory.

use lockstep_coordinator::cluster::Timestamp;
use lockstep_coordinator::cluster::facts::Report;
use lockstep_coordinator::cluster::job::Job;
use lockstep_coordinator::cluster::record::{Record, Restored};
use lockstep_proto::ledger::{Ledger, LedgerRow};

/// What is on the disk of the one job that there is.
#[derive(Clone, Debug, Default)]
pub struct Store {
    /// Nothing before it was handed in.
    pub job: Option<Box<Restored>>,
    /// The run folder's reports.
    pub reports: Vec<Report>,
}

impl Store {
    /// The job's row.
    pub fn save_job(&mut self, record: Record) {
        match &mut self.job {
            Some(job) => job.record = record,
            None => {
                self.job = Some(Box::new(Restored {
                    record,
                    recorded_step: 0,
                    ledger: Ledger::default(),
                    checkpoints: Vec::new(),
                    generations: Vec::new(),
                    measured: Vec::new(),
                }));
            }
        }
    }

    /// Progress, as the database has it: rows from `first_row` on are replaced. False if they leave a gap.
    pub fn save_progress(&mut self, first_row: usize, rows: &[LedgerRow], step: u64) -> bool {
        let Some(job) = &mut self.job else { return false };
        job.recorded_step = step;
        job.ledger.replace_from(first_row, rows).is_ok()
    }

    /// Steps and rows that are durable.
    pub fn durable(&self) -> (u64, u64) {
        self.job.as_ref().map_or((0, 0), |job| (job.recorded_step, job.ledger.rows().len() as u64))
    }

    /// The jobs of a coordinator that starts now.
    pub fn jobs(&self, now: Timestamp) -> Vec<Job> {
        let newest = self.reports.iter().rfind(|report| matches!(report, Report::Step(_)));
        let evaluations = self.reports.iter().filter(|report| matches!(report, Report::Evaluation(_)));
        let measured: Vec<Report> = evaluations.chain(newest).cloned().collect();
        let jobs = self.job.iter();
        jobs.map(|job| Job::restored(Restored { measured: measured.clone(), ..(**job).clone() }, now)).collect()
    }
}
