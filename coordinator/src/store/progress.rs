//! Committed steps of jobs: the ledger, and up to which step reports are recorded.

use lockstep_proto::identity::JobId;
use lockstep_proto::ledger::{Ledger, LedgerRow};

use super::jobs::{integer, json};
use super::{Store, StoreError};

impl Store {
    /// Replaces a job's ledger from row `first_row` on, and makes what is recorded durable, in one transaction.
    pub fn save_progress(
        &mut self,
        job: &JobId,
        first_row: usize,
        rows: &[LedgerRow],
        step: u64,
    ) -> Result<(), StoreError> {
        let transaction = self.database.transaction()?;
        transaction
            .prepare_cached("DELETE FROM ledger WHERE job = ? AND number >= ?")?
            .execute((job.as_str(), integer(first_row as u64)))?;
        for (number, row) in (first_row as u64..).zip(rows) {
            transaction.prepare_cached("INSERT INTO ledger VALUES (?, ?, ?)")?.execute((
                job.as_str(),
                integer(number),
                json(job, row)?,
            ))?;
        }
        transaction
            .prepare_cached("INSERT OR REPLACE INTO progress VALUES (?, ?)")?
            .execute((job.as_str(), integer(step)))?;
        Ok(transaction.commit()?)
    }

    /// The step up to which a job's reports are recorded, and its ledger.
    pub(super) fn progress(&self, job: &JobId) -> Result<(u64, Ledger), StoreError> {
        let mut statement = self.database.prepare_cached("SELECT recorded_step FROM progress WHERE job = ?")?;
        let step: Option<i64> = statement.query_map([job.as_str()], |row| row.get(0))?.next().transpose()?;
        let rows: Vec<LedgerRow> = self.texts("SELECT row FROM ledger WHERE job = ? ORDER BY number", job)?;
        let mut ledger = Ledger::default();
        for row in rows {
            ledger.add(row).map_err(|gap| StoreError::Row { job: job.to_string(), cause: gap.to_string() })?;
        }
        Ok((step.and_then(|step| u64::try_from(step).ok()).unwrap_or(0), ledger))
    }
}
