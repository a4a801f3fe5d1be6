//! `study`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockstep_worker::datasets::NamedFolder;

/// What to do with a study.
#[derive(Debug, Subcommand)]
pub enum StudyVerb {
    /// Train all runs of a study, many at a time, on this machine or a cluster; go on where an earlier call has stopped
    Run(StudyRun),
    /// Write a study's report: a page, figures, and what was found, out of its tables
    Report(StudyReport),
}

/// `study run`.
#[derive(Debug, Args)]
pub struct StudyRun {
    /// Recipe of a study (TOML); keys: recipes/STUDIES.md
    #[arg(value_name = "STUDY.toml")]
    pub recipe: PathBuf,
    /// Change a key of all jobs, e.g. --set cluster.workers=2
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The study's folder; without it studies/ and the recipe's name
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Train on the cluster of this coordinator, and not in this process
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
    /// This machine's folder of a dataset that jobs name (data.name), e.g. --data imagenet=/datasets/imagenet
    #[arg(long = "data", value_name = "NAME=DIR")]
    pub data: Vec<NamedFolder>,
    /// Check the recipe, list its cells, and train nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run, where the data are not there: as if their training split had so many samples
    #[arg(long, value_name = "N", requires = "dry_run", value_parser = clap::value_parser!(u64).range(1..))]
    pub assume_samples: Option<u64>,
    /// The recipe has changed since the folder was begun: go on with the runs that both have
    #[arg(long)]
    pub changed: bool,
    /// Finished runs are of another build or device: go on with them, and mark them
    #[arg(long)]
    pub mixed: bool,
    /// Finished runs are of another build or device: train them again
    #[arg(long, conflicts_with = "mixed")]
    pub again: bool,
    /// Print nothing but errors and the table of cells
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print a line of JSON for each event
    #[arg(long)]
    pub json: bool,
}

/// `study report`.
#[derive(Debug, Args)]
pub struct StudyReport {
    /// The study's folder, as `study run` has left it, finished or not
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
