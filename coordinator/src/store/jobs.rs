//! Rows of jobs and their generations.

use std::path::PathBuf;

use lockstep_proto::identity::JobId;
use rusqlite::{Row, named_params};

use super::{Store, StoreError};
use crate::cluster::Timestamp;
use crate::cluster::record::{GenerationRecord, Record, StateName};

impl Store {
    /// Makes a job's row what this record says.
    pub fn save_job(&self, record: &Record) -> Result<(), StoreError> {
        let outcome = record.outcome.as_ref().map(|o| json(&record.job, o)).transpose()?;
        self.database
            .prepare_cached(
                "INSERT OR REPLACE INTO jobs VALUES (:job, :name, :toml, :command, :run_folder, :state,
             :reason, :bad_input, :submitted, :started, :ended, :outcome, :placements, :workers)",
            )?
            .execute(named_params! {
                ":job": record.job.as_str(),
                ":name": record.name,
                ":toml": record.toml,
                ":command": record.command,
                ":run_folder": record.run_folder.to_string_lossy(),
                ":state": record.state.as_str(),
                ":reason": record.reason,
                ":bad_input": record.bad_input,
                ":submitted": millis(record.submitted),
                ":started": record.started.map(millis),
                ":ended": record.ended.map(millis),
                ":outcome": outcome,
                ":placements": json(&record.job, &record.placements)?,
                ":workers": record.workers,
            })?;
        Ok(())
    }

    /// Makes a membership durable.
    pub fn save_generation(&self, job: &JobId, generation: &GenerationRecord) -> Result<(), StoreError> {
        self.database.prepare_cached("INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?)")?.execute((
            job.as_str(),
            i64::try_from(generation.number).unwrap_or(i64::MAX),
            &generation.id,
            json(job, &generation.members)?,
        ))?;
        Ok(())
    }

    /// All jobs, in the order of submission.
    pub fn jobs(&self) -> Result<Vec<Record>, StoreError> {
        let mut statement = self.database.prepare("SELECT * FROM jobs ORDER BY submitted, job")?;
        let mut rows = statement.query([])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(record(row)?);
        }
        Ok(records)
    }
}

fn record(row: &Row<'_>) -> Result<Record, StoreError> {
    let id: String = row.get("job")?;
    let wrong = |cause: String| StoreError::Row { job: id.clone(), cause };
    let state: String = row.get("state")?;
    let outcome: Option<String> = row.get("outcome")?;
    let placements: String = row.get("placements")?;
    Ok(Record {
        job: JobId::try_from(id.as_str()).map_err(|e| wrong(e.to_string()))?,
        name: row.get("name")?,
        toml: row.get("toml")?,
        command: row.get("command")?,
        run_folder: PathBuf::from(row.get::<_, String>("run_folder")?),
        state: StateName::parse(&state).ok_or_else(|| wrong(format!("state {state:?}")))?,
        reason: row.get("reason")?,
        bad_input: row.get("bad_input")?,
        submitted: timestamp(row.get("submitted")?),
        started: row.get::<_, Option<i64>>("started")?.map(timestamp),
        ended: row.get::<_, Option<i64>>("ended")?.map(timestamp),
        outcome: outcome.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| wrong(e.to_string()))?,
        placements: serde_json::from_str(&placements).map_err(|e| wrong(e.to_string()))?,
        workers: row.get("workers")?,
    })
}

fn json<T: serde::Serialize>(job: &JobId, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Row { job: job.to_string(), cause: e.to_string() })
}

fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.millis()).unwrap_or(i64::MAX)
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}
