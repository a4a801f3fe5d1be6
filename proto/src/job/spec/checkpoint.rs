//! `[checkpoint]`: when the state is written to disk, where, and how long it stays there.

use serde::{Deserialize, Serialize};

/// When and where checkpoints are written: changes no result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checkpoint {
    /// Folder that all nodes see, or `s3://bucket/prefix`; empty for `checkpoints` in the run folder.
    pub dir: String,
    /// Epochs between checkpoints; 0 for none at the end of epochs.
    pub every_epochs: u32,
    /// Steps between checkpoints; 0 for none by steps.
    pub every_steps: u64,
    /// Minutes between checkpoints; 0 for none by time.
    pub every_minutes: u32,
    /// How many of the newest are kept.
    pub keep_last: u32,
    /// Of the older, those of every so many steps are kept for good; 0 for none.
    pub keep_every: u64,
    /// The one with the best measure is kept as well.
    pub keep_best: Measure,
    /// Bytes that they may take; a job that needs more waits as on a full disk. 0 for no limit.
    pub max_bytes: u64,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            dir: String::new(),
            every_epochs: 1,
            every_steps: 0,
            every_minutes: 0,
            keep_last: 2,
            keep_every: 0,
            keep_best: Measure::None,
            max_bytes: 0,
        }
    }
}

/// What makes a checkpoint better than another, as evaluated at its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Nothing.
    None,
    /// Lower loss.
    Loss,
    /// Higher accuracy.
    Accuracy,
}
