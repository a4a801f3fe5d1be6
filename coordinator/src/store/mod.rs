//! The coordinator's database: what must survive it. But for log lines, a call returns after its rows are durable.

mod jobs;
mod lock;
mod logs;
mod progress;
mod schema;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub use lock::StateLock;
pub use logs::LogRow;

/// Where the coordinator keeps its state.
#[derive(Clone, Debug)]
pub enum StateFolder {
    /// In this folder.
    Dir(PathBuf),
    /// Nowhere: it ends with the process. For the coordinator inside of `train`.
    Memory,
}

/// What went wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state folder can't be used.
    #[error("state folder {}: {cause}: choose another with --state", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Another coordinator has it.
    #[error("state folder {} is in use by another coordinator: choose another with --state", .0.display())]
    InUse(PathBuf),
    /// A newer program wrote it.
    #[error("{} has schema version {found}, this program knows up to {known}: use the newer program", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file is no database, or a damaged one.
    #[error("{} can't be read as a database ({cause}): choose another folder with --state", path.display())]
    NoDatabase {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: rusqlite::Error,
    },
    /// SQLite says no.
    #[error("coordinator database: {0}")]
    Database(#[from] rusqlite::Error),
    /// A row is not what we write.
    #[error("coordinator database: row of job {job}: {cause}")]
    Row {
        /// Which.
        job: String,
        /// What is wrong.
        cause: String,
    },
}

impl StoreError {
    /// Whether there may be room later.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Database(rusqlite::Error::SqliteFailure(error, _)) => error.code == rusqlite::ErrorCode::DiskFull,
            _ => false,
        }
    }

    /// Whether another folder would do: nothing is broken.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Folder { .. } | Self::InUse(_) | Self::Newer { .. } | Self::NoDatabase { .. } => true,
            Self::Database(_) | Self::Row { .. } => false,
        }
    }
}

/// The database, and the lock on its folder.
pub struct Store {
    database: Connection,
    /// Log lines go through a connection of their own, which doesn't wait for the disk: nobody acknowledges them.
    logs: Connection,
    _lock: Option<StateLock>,
}

impl Store {
    /// Opens or makes the database; refuses a folder that another coordinator uses.
    pub fn open(state: &StateFolder) -> Result<Self, StoreError> {
        match state {
            StateFolder::Memory => {
                let (database, logs) = (Connection::open_in_memory()?, Connection::open_in_memory()?);
                schema::prepare(&database, Path::new("memory"))?;
                schema::prepare(&logs, Path::new("memory"))?;
                Ok(Self { database, logs, _lock: None })
            }
            StateFolder::Dir(folder) => {
                let lock = StateLock::take(folder)?;
                let path = folder.join("coordinator.db");
                let no_database = |cause| StoreError::NoDatabase { path: path.clone(), cause };
                let database = Connection::open(&path).map_err(no_database)?;
                // The first statement that reads the file.
                database.pragma_update(None, "journal_mode", "WAL").map_err(no_database)?;
                database.pragma_update(None, "synchronous", "FULL")?;
                schema::prepare(&database, &path)?;
                let logs = Connection::open(&path)?;
                logs.pragma_update(None, "synchronous", "NORMAL")?;
                Ok(Self { database, logs, _lock: Some(lock) })
            }
        }
    }
}

#[cfg(test)]
mod tests;
