//! What can be wrong with a job: one line each, naming where it was said, the key, and what to do.

use std::path::PathBuf;

/// A job that cannot be used.
///
/// `origin` is where it was said: a job file, `$LOCKSTEP__…`, or `--set …`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The job file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// More text than a job may have.
    #[error("{origin}: is larger than {limit} bytes: this is no job file")]
    TooLarge {
        /// Where.
        origin: String,
        /// Most bytes of a job.
        limit: u64,
    },
    /// Not TOML.
    #[error("{origin}:{line}: {message}")]
    Syntax {
        /// Where.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// What TOML wants there.
        message: String,
    },
    /// An override that isn't `key=value`.
    #[error("{origin}: {problem}")]
    Override {
        /// Which.
        origin: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A key that no job has.
    #[error("{origin}: unknown key `{key}`: did you mean `{nearest}`?")]
    UnknownKey {
        /// Where.
        origin: String,
        /// As written.
        key: String,
        /// The most similar key that there is.
        nearest: String,
    },
    /// A value of the wrong type or outside the type's range.
    #[error("{origin}: `{key}` must be {wanted}, but is {got}")]
    Type {
        /// Where.
        origin: String,
        /// Which key.
        key: String,
        /// What it takes.
        wanted: String,
        /// What it was given.
        got: String,
    },
    /// A word that the key doesn't know.
    #[error("{origin}: `{key}` = \"{got}\" is unknown: choose {}{}", known.join(", "), did_you_mean(nearest))]
    UnknownWord {
        /// Where.
        origin: String,
        /// Which key.
        key: String,
        /// What it was given.
        got: String,
        /// The words it knows.
        known: &'static [&'static str],
        /// A similar one.
        nearest: Option<String>,
    },
    /// A value that no run can have.
    #[error("{origin}: {problem}")]
    Invalid {
        /// Where.
        origin: String,
        /// Which key.
        key: &'static str,
        /// Key, value, and what to do.
        problem: String,
    },
}

fn did_you_mean(word: &Option<String>) -> String {
    word.as_ref().map(|word| format!(" (did you mean {word}?)")).unwrap_or_default()
}
