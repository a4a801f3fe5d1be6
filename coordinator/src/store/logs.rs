//! Log lines of workers, the newest of each job.

use lockstep_proto::identity::JobId;

use super::{Store, StoreError};
use crate::cluster::Timestamp;

/// Lines kept of a job.
const LINES_KEPT: u32 = 10_000;

/// A line of a job's log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// Who wrote it; empty for the coordinator.
    pub worker: String,
    /// When it arrived.
    pub time: Timestamp,
    /// Without its line end.
    pub line: String,
}

impl Store {
    /// Adds lines, and drops the oldest where there are too many.
    pub fn add_logs(&mut self, job: &JobId, rows: &[LogRow]) -> Result<(), StoreError> {
        let transaction = self.logs.transaction()?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO logs (job, worker, time, line) VALUES (?, ?, ?, ?)")?;
            for row in rows {
                let time = i64::try_from(row.time.millis()).unwrap_or(i64::MAX);
                insert.execute((job.as_str(), &row.worker, time, &row.line))?;
            }
            let mut drop_oldest = transaction.prepare_cached(
                "DELETE FROM logs WHERE job = ?1 AND row <=
                 (SELECT row FROM logs WHERE job = ?1 ORDER BY row DESC LIMIT 1 OFFSET ?2)",
            )?;
            drop_oldest.execute((job.as_str(), LINES_KEPT))?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The lines that are kept, oldest first.
    pub fn logs(&self, job: &JobId) -> Result<Vec<LogRow>, StoreError> {
        let mut statement =
            self.logs.prepare_cached("SELECT worker, time, line FROM logs WHERE job = ? ORDER BY row")?;
        let rows = statement.query_map([job.as_str()], |row| {
            let time = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            let time = Timestamp::from_millis(time);
            Ok(LogRow { worker: row.get(0)?, time, line: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
