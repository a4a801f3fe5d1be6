//! `study`: a grid of jobs. What is to be trained, and what it says, is decided in the crate; here it is done.

mod cells;
mod cluster;
mod fetched;
mod folder;
mod here;
mod listed;
mod machine;
mod pool;
mod progress;
mod report;
mod run;
mod shelf;
mod site;
mod unpacked;

use anyhow::Result;

use crate::arguments::StudyVerb;

/// Carries a verb out; gives the exit code.
///
/// # Errors
/// What the user gave can't be used, or this machine lacks something.
pub fn study(verb: &StudyVerb) -> Result<u8> {
    match verb {
        StudyVerb::Run(arguments) => run::run(arguments),
        StudyVerb::Report(arguments) => report::report(arguments),
    }
}
