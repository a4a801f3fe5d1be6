//! `study`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with a study.
#[derive(Debug, Subcommand)]
pub enum StudyVerb {
    /// Write a study's report: a page, figures, and what was found, out of its tables
    Report(StudyReport),
}

/// `study report`.
#[derive(Debug, Args)]
pub struct StudyReport {
    /// The study's folder, as `study run` has left it, finished or not
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
