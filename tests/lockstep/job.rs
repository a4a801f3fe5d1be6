//! A job that takes a second or two, and what it comes to without faults.

use std::path::Path;
use std::sync::LazyLock;

use super::outcome::Outcome;
use super::process::Ended;
use super::{recipe, train};

/// Its recipe.
pub const RECIPE: &str = "mnist-lenet5.toml";

/// Of the shortest job that ships: three epochs of 20 steps, and one checkpoint, amid the second.
pub const FORKABLE: [&str; 7] = [
    "data.limit=1280",
    "schedule.epochs=3",
    "optimizer.momentum=0.5",
    "metrics.every=1",
    "evaluate.test=false",
    "checkpoint.every_epochs=0",
    "checkpoint.every_steps=37",
];

/// Four lanes, a kept short last batch, held-out samples; all that is measured is in `metrics.jsonl`.
pub const SETTINGS: [&str; 7] = [
    "batch.size=64",
    "batch.micro_batch=16",
    "data.limit=6410",
    "data.validation=500",
    "data.last_batch=keep",
    "schedule.epochs=4",
    "metrics.every=1",
];

/// Steps of all epochs.
pub const STEPS: u64 = 4 * 101;

/// The settings with these further ones.
pub fn settings<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SETTINGS[..], more].concat()
}

/// What comes out without faults.
static CLEAN: LazyLock<Outcome> = LazyLock::new(|| {
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("clean");
    let mut command = train(&recipe(RECIPE), &run, &SETTINGS);
    Ended::of(command.args(["--workers", "1", "--quiet"])).success();
    let clean = Outcome::of(&run);
    assert_eq!(clean.steps(), STEPS);
    clean
});

/// A run's outcome is that of a run without faults.
pub fn is_clean(run: &Path) {
    CLEAN.is_that_of(run);
}

/// The same but for reports, which may have been lost.
pub fn has_clean_state(run: &Path) {
    CLEAN.has_the_state_of(run);
}
