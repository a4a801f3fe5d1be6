//! `[schedule]`: how long, and the learning rate over time.

use serde::{Deserialize, Serialize};

/// How long, and the learning rate over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Passes over the training samples.
    pub epochs: u32,
    /// Stop after this many steps; 0 for no such limit.
    pub max_steps: u64,
    /// The learning rate's course.
    pub learning_rate: Course,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { epochs: 1, max_steps: 0, learning_rate: Course::Constant }
    }
}

/// A learning rate's course from `optimizer.learning_rate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Stays.
    Constant,
    /// Half a cosine down to zero over all steps.
    Cosine,
}
