//! The database's tables and their version.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

/// What makes a database of version n one of version n + 1; the version is kept in SQLite's `user_version`.
const UPGRADES: [&str; 3] = [TABLES, SURVIVING_JOBS, DIVERGED_JOBS];

const TABLES: &str = "
CREATE TABLE jobs (
    job TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    toml TEXT NOT NULL,
    command TEXT NOT NULL,
    run_folder TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    bad_input INTEGER NOT NULL,
    submitted INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    outcome TEXT,
    placements TEXT NOT NULL,
    workers INTEGER NOT NULL
) STRICT;
CREATE TABLE generations (
    job TEXT NOT NULL,
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    members TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT;
CREATE TABLE logs (
    row INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    worker TEXT NOT NULL,
    time INTEGER NOT NULL,
    line TEXT NOT NULL
) STRICT;
CREATE INDEX logs_by_job ON logs (job, row);
";

/// Since version 2 jobs go on when the coordinator is restarted.
const SURVIVING_JOBS: &str = "
ALTER TABLE jobs ADD COLUMN source TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN generation_id BLOB;
ALTER TABLE jobs ADD COLUMN members TEXT NOT NULL DEFAULT '[]';
ALTER TABLE jobs ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '{}';
CREATE TABLE progress (job TEXT PRIMARY KEY, recorded_step INTEGER NOT NULL) STRICT;
CREATE TABLE ledger (job TEXT NOT NULL, number INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (job, number)) STRICT;
CREATE TABLE checkpoints (job TEXT PRIMARY KEY, checkpoints TEXT NOT NULL) STRICT;
CREATE TABLE memberships (
    job TEXT NOT NULL,
    number INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT;
DROP TABLE generations;
";

/// Since version 3 it is kept that a job has failed because a step was not finite.
const DIVERGED_JOBS: &str = "
ALTER TABLE jobs ADD COLUMN diverged INTEGER;
";

/// Makes the tables in an empty database, and adds what an older one lacks; refuses those of a newer program.
pub fn prepare(database: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = UPGRADES.len() as i64;
    let Some(missing) = usize::try_from(found).ok().and_then(|found| UPGRADES.get(found..)) else {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    };
    for (version, upgrade) in (found + 1..).zip(missing) {
        database.execute_batch(&format!("BEGIN; {upgrade} PRAGMA user_version = {version}; COMMIT;"))?;
    }
    Ok(())
}
