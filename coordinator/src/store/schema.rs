//! The database's tables and their version.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

/// Version of the tables below; kept in SQLite's `user_version`.
const VERSION: i64 = 1;

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

/// Makes the tables in an empty database; refuses those of a newer program.
pub fn prepare(database: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match found {
        0 => {
            database.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))?;
            Ok(())
        }
        VERSION => Ok(()),
        found => Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION }),
    }
}
