//! What was committed since it was last handed to control. A step costs no message: its row grows here.

use std::time::{Duration, Instant};

use lockstep_proto::ledger::Ledger;
use lockstep_proto::wire;

use crate::control::Batch;

/// Least time between two batches.
const EVERY: Duration = Duration::from_millis(100);

/// The next batch, as it grows.
pub struct Outbox {
    handed: Instant,
    /// Number of the first row that changed.
    changed: Option<usize>,
    reports: Vec<wire::Report>,
    /// Reports up to this step are made.
    reported: u64,
    /// That step as control knows it.
    told: u64,
}

impl Outbox {
    /// An empty one; reports up to `reported` were made.
    pub fn new(reported: u64) -> Self {
        Self { handed: Instant::now(), changed: None, reports: Vec::new(), reported, told: reported }
    }

    /// A step was committed: the ledger's last row is new or longer.
    pub fn committed(&mut self, ledger: &Ledger) {
        let last = ledger.rows().len().saturating_sub(1);
        self.changed = Some(self.changed.map_or(last, |first| first.min(last)));
    }

    /// Adds a report.
    pub fn report(&mut self, report: wire::report::Report) {
        self.reports.push(wire::Report { report: Some(report) });
    }

    /// All reports of a step are made.
    pub fn is_whole_to(&mut self, step: u64) {
        self.reported = step;
    }

    /// Whether there is something to tell that is not of every step, and so worth a message of its own.
    pub fn has_reports_behind_step(&self) -> bool {
        use wire::report::Report;
        self.reports.iter().any(|report| !matches!(report.report, Some(Report::Step(_))))
    }

    /// Up to which step reports are made.
    pub fn reported(&self) -> u64 {
        self.reported
    }

    /// Whether it is time for a batch.
    pub fn is_due(&self) -> bool {
        self.changed.is_some() && self.handed.elapsed() >= EVERY
    }

    /// The batch, unless there is nothing to tell.
    pub fn take(&mut self, ledger: &Ledger) -> Option<Batch> {
        if self.changed.is_none() && self.reports.is_empty() && self.told == self.reported {
            return None;
        }
        let first_row = self.changed.take().unwrap_or(ledger.rows().len());
        let rows = ledger.rows()[first_row..].to_vec();
        self.handed = Instant::now();
        self.told = self.reported;
        Some(Batch { reported: self.reported, first_row, rows, reports: std::mem::take(&mut self.reports) })
    }
}
