//! What can go wrong with a verb, and the exit code for it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use tonic::{Code, Status};

use super::exit;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an address.
    #[error("{0:?} is not an address of a coordinator: write it like http://127.0.0.1:7070")]
    Address(String),
    /// Nobody answers.
    #[error(
        "cannot reach the coordinator at {url}: is `lockstep serve` running? name another with --coordinator ({cause})"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        cause: String,
    },
    /// The coordinator went away.
    #[error("lost the coordinator: {0}")]
    Lost(String),
    /// The coordinator says no.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// A folder to write to has something in it.
    #[error("folder {} is not empty: name another", .0.display())]
    NotEmpty(PathBuf),
    /// A folder can't be written to.
    #[error("folder {}: {cause}: name another", path.display())]
    Folder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file came damaged, or where it must not go.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// The output can't be written.
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

impl ClientError {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Address(_) | Self::Unreachable { .. } | Self::NotEmpty(_) | Self::Folder { .. } => exit::BAD_INPUT,
            Self::Refused(status) => match status.code() {
                Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => exit::BAD_INPUT,
                _ => exit::FAILED,
            },
            Self::Lost(_) | Self::File { .. } | Self::Output(_) => exit::FAILED,
        }
    }

    /// Whether the connection broke: what was asked for may have been done or not.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    /// Whether the coordinator knows no such job.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::NotFound)
    }

    /// Whether this machine can't write what came.
    pub fn is_of_this_machine(&self) -> bool {
        matches!(self, Self::NotEmpty(_) | Self::Folder { .. } | Self::Output(_))
    }

    /// Whether the reader of the output has gone, so that nobody wants to know.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        // A status without an answer behind it: the connection broke.
        let transport = status.source().is_some() || status.code() == Code::Unavailable;
        if transport {
            return Self::Lost(status.message().to_owned());
        }
        Self::Refused(Box::new(status))
    }
}
