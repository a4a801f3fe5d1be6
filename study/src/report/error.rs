//! Why there is no report.

use std::path::PathBuf;

/// A study's folder that can't be reported on.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No study there.
    #[error("{} is missing: is {} a study's folder? `lockstep study run STUDY.toml` makes one", .path.display(), .folder.display())]
    NoStudy {
        /// The file that every study has.
        path: PathBuf,
        /// The folder that was given.
        folder: PathBuf,
    },
    /// A file can't be read.
    #[error("cannot read {}: {}", .path.display(), .source)]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What a file says can't be; the place is file, line and column.
    #[error("{place}: {problem}")]
    Content {
        /// Where.
        place: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A figure can't be drawn as pixels.
    #[error("figure {figure:?} cannot be drawn as PNG: {problem}")]
    Picture {
        /// Its name.
        figure: String,
        /// Why.
        problem: String,
    },
    /// A file can't be written.
    #[error("cannot write {}: {}", .path.display(), .source)]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ReportError {
    /// Whether the user's files are to blame.
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::NoStudy { .. } | Self::Content { .. })
    }
}
