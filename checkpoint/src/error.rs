//! What can go wrong with a checkpoint, naming where and what to do.

use std::io;

use crate::Name;

/// Why a checkpoint could not be written, found, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk, a quota or a limit is exhausted: it may work later.
    #[error("no room for {what}: {reason}; free some space, or keep fewer checkpoints")]
    Full {
        /// What was being written.
        what: String,
        /// The system's answer.
        reason: String,
    },
    /// The disk refused something else.
    #[error("cannot {doing} {path}: {source}")]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The bucket's server refused something else, or did not answer.
    #[error("cannot {doing} {object}: {reason}; are AWS_ENDPOINT_URL, AWS_REGION and the credentials right?")]
    Bucket {
        /// What was tried.
        doing: &'static str,
        /// With what.
        object: String,
        /// The server's answer.
        reason: String,
    },
    /// The checkpoint belongs to another job: the user's error, not damage.
    #[error(
        "checkpoint {name} in {place} belongs to another {what}: {theirs}, this job has {ours}; \
         give each job a checkpoint folder of its own"
    )]
    Foreign {
        /// The checkpoint.
        name: Name,
        /// Where it is.
        place: String,
        /// `data set`, `model` or `state`.
        what: &'static str,
        /// The checkpoint's.
        theirs: String,
        /// The job's.
        ours: String,
    },
    /// A newer program wrote the checkpoint.
    #[error(
        "checkpoint {name} in {place} was written by a newer program: version {version}, this program knows up to {known}"
    )]
    Newer {
        /// The checkpoint.
        name: Name,
        /// Where it is.
        place: String,
        /// Its format's version.
        version: u64,
        /// The newest version that is known here.
        known: u64,
    },
    /// The checkpoint is not as it was written.
    #[error("checkpoint {name} in {place} is damaged: {reason}")]
    Damaged {
        /// The checkpoint.
        name: Name,
        /// Where it is.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no such checkpoint, or it is not yet complete.
    #[error("there is no checkpoint {name} in {place}")]
    Missing {
        /// The checkpoint.
        name: Name,
        /// Where it was looked for.
        place: String,
    },
    /// Nobody could read back what was to be written.
    #[error("this is no state that can be written: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The place is no folder and no bucket.
    #[error("{place:?} is no place for checkpoints: {reason}")]
    Place {
        /// As given.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// Of the disk: [`Error::Full`] where there was no room.
    pub(crate) fn disk(doing: &'static str, path: impl Into<String>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            // ENOSPC, EDQUOT, EFBIG.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { what: path, reason: source.to_string() }
            }
            _ => Self::Disk { doing, path, source },
        }
    }

    /// Whether it may work once there is room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}
