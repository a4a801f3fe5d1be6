//! What can be wrong with what a dataset is prepared from: one line each, naming file, member and offset, and what to do.

use std::io;
use std::path::PathBuf;

use super::sources::SourceError;
use crate::manifest::ManifestError;
use crate::tar::TarError;

/// Why a dataset was not prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// A source is not what it should be.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A tar is not what it should be.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// What was written does not fit together.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A label for which there is no class.
    #[error("{place}: is of class {label}, but there are {classes} classes, 0 to {}: mend it, or name more with --classes",
            classes - 1)]
    Label {
        /// The sample's file and offset.
        place: String,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// Samples that can't be decoded.
    #[error("{place}: {problem}: mend or remove it, or let up to N such samples be left out with --skip-bad N")]
    Sample {
        /// Its file, member and offset.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// More samples that can't be decoded than were allowed.
    #[error("more than {allowed} samples can't be decoded (--skip-bad); one of them: {one}")]
    TooManyBad {
        /// `--skip-bad`.
        allowed: u64,
        /// One sample's file, member and offset, and what is wrong with it.
        one: String,
    },
    /// More classes than labels can tell.
    #[error("there are {0} classes: a dataset has at most 65,536")]
    Classes(usize),
    /// No sources had a sample.
    #[error("no samples for the {split} split: nothing would be prepared")]
    Nothing {
        /// The split's name.
        split: &'static str,
    },
    /// There is a prepared split already.
    #[error("{}: holds a prepared split: remove it first, or name another folder", .0.display())]
    Done(PathBuf),
    /// Unfinished work for something else.
    #[error("{}: holds what an earlier `data prepare` of other sources or options left unfinished: remove this folder, or \
             go on with the same sources and options", .0.display())]
    Other(PathBuf),
    /// Shards that are not of this work.
    #[error("{}: is there already, and not of this dataset: remove it, or name another folder", .0.display())]
    Stale(PathBuf),
    /// Somebody else prepares into the same folder.
    #[error("{}: another process prepares into this folder", .0.display())]
    Busy(PathBuf),
    /// The target can't be written or read again.
    #[error("{}: {source}", path.display())]
    Target {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PrepareError {
    /// Whether the user's files or words are to blame, not the machine.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Target { .. })
    }
}
