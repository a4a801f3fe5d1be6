//! Rows of jobs and their generations.

use std::path::PathBuf;

use lockstep_proto::identity::JobId;
use rusqlite::{Row, named_params};

use super::{Store, StoreError};
use crate::cluster::Timestamp;
use crate::cluster::facts::CheckpointFact;
use crate::cluster::record::{GenerationRecord, Record, Restored, StateName};

impl Store {
    /// Makes a job's row what this record says.
    pub fn save_job(&self, record: &Record) -> Result<(), StoreError> {
        let outcome = record.outcome.as_ref().map(|o| json(&record.job, o)).transpose()?;
        self.database
            .prepare_cached(
                "INSERT OR REPLACE INTO jobs VALUES (:job, :name, :toml, :command, :run_folder, :state,
             :reason, :bad_input, :submitted, :started, :ended, :outcome, :placements, :workers,
             :source, :generation, :generation_id, :members, :facts, :fingerprint, :diverged)",
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
                ":source": json(&record.job, &record.from)?,
                ":generation": integer(record.generation),
                ":generation_id": record.generation_id,
                ":members": json(&record.job, &record.members)?,
                ":facts": json(&record.job, &record.facts)?,
                ":fingerprint": json(&record.job, &record.fingerprint)?,
                ":diverged": record.diverged.map(integer),
            })?;
        Ok(())
    }

    /// Makes a membership durable.
    pub fn save_generation(&self, job: &JobId, generation: &GenerationRecord) -> Result<(), StoreError> {
        self.database.prepare_cached("INSERT OR REPLACE INTO memberships VALUES (?, ?, ?)")?.execute((
            job.as_str(),
            integer(generation.number),
            json(job, generation)?,
        ))?;
        Ok(())
    }

    /// Makes the list of checkpoints durable.
    pub fn save_checkpoints(&self, job: &JobId, checkpoints: &[CheckpointFact]) -> Result<(), StoreError> {
        self.database
            .prepare_cached("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)")?
            .execute((job.as_str(), json(job, &checkpoints)?))?;
        Ok(())
    }

    /// All jobs with what is known of them, in the order of submission.
    pub fn jobs(&self) -> Result<Vec<Restored>, StoreError> {
        let mut statement = self.database.prepare("SELECT * FROM jobs ORDER BY submitted, job")?;
        let mut rows = statement.query([])?;
        let mut jobs = Vec::new();
        while let Some(row) = rows.next()? {
            let record = record(row)?;
            let (recorded_step, ledger) = self.progress(&record.job)?;
            let checkpoints = self.texts("SELECT checkpoints FROM checkpoints WHERE job = ?", &record.job)?;
            let generations =
                self.texts("SELECT record FROM memberships WHERE job = ? ORDER BY number", &record.job)?;
            jobs.push(Restored {
                recorded_step,
                ledger,
                checkpoints: checkpoints.into_iter().next().unwrap_or_default(),
                generations,
                measured: Vec::new(),
                record,
            });
        }
        Ok(jobs)
    }

    /// A column of JSON texts of a job, parsed.
    pub(super) fn texts<T: serde::de::DeserializeOwned>(&self, query: &str, job: &JobId) -> Result<Vec<T>, StoreError> {
        let mut statement = self.database.prepare_cached(query)?;
        let texts = statement.query_map([job.as_str()], |row| row.get::<_, String>(0))?;
        texts.map(|text| parse(job, &text?)).collect()
    }
}

fn record(row: &Row<'_>) -> Result<Record, StoreError> {
    let id: String = row.get("job")?;
    let wrong = |cause: String| StoreError::Row { job: id.clone(), cause };
    let state: String = row.get("state")?;
    let outcome: Option<String> = row.get("outcome")?;
    let diverged: Option<i64> = row.get("diverged")?;
    let placements: String = row.get("placements")?;
    let job = JobId::try_from(id.as_str()).map_err(|e| wrong(e.to_string()))?;
    Ok(Record {
        name: row.get("name")?,
        toml: row.get("toml")?,
        command: row.get("command")?,
        run_folder: PathBuf::from(row.get::<_, String>("run_folder")?),
        state: StateName::parse(&state).ok_or_else(|| wrong(format!("state {state:?}")))?,
        reason: row.get("reason")?,
        bad_input: row.get("bad_input")?,
        diverged: diverged
            .map(|steps| u64::try_from(steps).map_err(|_| wrong(format!("diverged {steps}"))))
            .transpose()?,
        submitted: timestamp(row.get("submitted")?),
        started: row.get::<_, Option<i64>>("started")?.map(timestamp),
        ended: row.get::<_, Option<i64>>("ended")?.map(timestamp),
        outcome: outcome.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| wrong(e.to_string()))?,
        placements: serde_json::from_str(&placements).map_err(|e| wrong(e.to_string()))?,
        workers: row.get("workers")?,
        from: parse(&job, &row.get::<_, String>("source")?)?,
        generation: u64::try_from(row.get::<_, i64>("generation")?).unwrap_or(0),
        generation_id: row.get("generation_id")?,
        members: parse(&job, &row.get::<_, String>("members")?)?,
        facts: parse_or_default(&row.get::<_, String>("facts")?),
        fingerprint: parse_or_default(&row.get::<_, String>("fingerprint")?),
        job,
    })
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(job: &JobId, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Row { job: job.to_string(), cause: e.to_string() })
}

/// Rows of an older version have nothing there.
fn parse_or_default<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

/// SQLite's integers have a sign.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn json<T: serde::Serialize>(job: &JobId, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Row { job: job.to_string(), cause: e.to_string() })
}

fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.millis()).unwrap_or(i64::MAX)
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}
