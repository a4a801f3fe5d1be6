//! What runs came to.

use std::collections::BTreeMap;

/// Finished runs, by key.
pub type Known = BTreeMap<String, Outcome>;

/// What a finished run came to; absent what was not measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// `completed`, `target`, `plateau`, or `nonfinite`.
    pub stop_reason: String,
    /// What its bits depend on beside job and data, in words.
    pub fingerprint: String,
    /// Committed.
    pub steps: Option<u64>,
    /// Done.
    pub epochs: Option<u64>,
    /// Committed.
    pub samples: Option<u64>,
    /// Where the target was reached.
    pub steps_to_target: Option<u64>,
    /// Mean over the last epoch's steps, or of a `gap` probe.
    pub train_loss: Option<f64>,
    /// The same for the fraction that was right.
    pub train_accuracy: Option<f64>,
    /// Of the last evaluation.
    pub validation_loss: Option<f64>,
    /// Fraction that was wrong.
    pub validation_error: Option<f64>,
    /// At the end.
    pub test_loss: Option<f64>,
    /// Fraction that was wrong.
    pub test_error: Option<f64>,
    /// How often it looked at the test samples.
    pub test_evaluations: u64,
}

impl Outcome {
    /// Whether numbers that are not finite ended it.
    pub fn diverged(&self) -> bool {
        self.stop_reason == "nonfinite"
    }
}
