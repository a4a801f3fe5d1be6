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
    /// `step`: epochs between changes.
    pub step_every: u32,
    /// `multi_step`: epochs, counted from 0, that begin with a change.
    pub step_at: Vec<u32>,
    /// `step`, `multi_step`: what a change multiplies by.
    pub step_factor: f64,
    /// `polynomial`: the exponent.
    pub power: f64,
    /// `one_cycle`: where the peak is, as a fraction of all steps.
    pub peak: f64,
    /// `one_cycle`: at the start, as a fraction of the peak.
    pub start_factor: f64,
    /// `cosine`, `polynomial`, `one_cycle`: at the end, as a fraction of the highest.
    pub end_factor: f64,
    /// `table`: epochs and their learning rate.
    pub table: Vec<(u32, f64)>,
    /// Epochs over which the learning rate rises.
    pub warmup_epochs: u32,
    /// Steps over which it rises.
    pub warmup_steps: u64,
    /// At the start of the rise, as a fraction.
    pub warmup_factor: f64,
    /// Stop at this accuracy of an evaluation; 0 for none.
    pub target_accuracy: f64,
    /// Stop at this loss of an evaluation; 0 for none.
    pub target_loss: f64,
    /// Stop at the end of an epoch of this mean training loss; 0 for none.
    pub target_train_loss: f64,
    /// Stop after so many evaluations without a lower loss; 0 for none.
    pub patience: u32,
    /// Stop after so many minutes of training; 0 for none.
    pub max_minutes: f64,
    /// What becomes of a step whose loss or gradients are not finite.
    pub on_nonfinite: OnNonfinite,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            epochs: 1,
            max_steps: 0,
            learning_rate: Course::Constant,
            step_every: 30,
            step_at: Vec::new(),
            step_factor: 0.1,
            power: 1.0,
            peak: 0.3,
            start_factor: 0.04,
            end_factor: 0.0,
            table: Vec::new(),
            warmup_epochs: 0,
            warmup_steps: 0,
            warmup_factor: 0.1,
            target_accuracy: 0.0,
            target_loss: 0.0,
            target_train_loss: 0.0,
            patience: 0,
            max_minutes: 0.0,
            on_nonfinite: OnNonfinite::Stop,
        }
    }
}

/// What becomes of a step whose loss or gradients are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNonfinite {
    /// It is not committed, and the job fails.
    Stop,
    /// It is committed as any other.
    Continue,
}

/// A learning rate's course from `optimizer.learning_rate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Stays.
    Constant,
    /// Changes every so many epochs.
    Step,
    /// Changes at certain epochs.
    MultiStep,
    /// Half a cosine down over all steps (Loshchilov & Hutter 2017).
    Cosine,
    /// A power of what is left of all steps.
    Polynomial,
    /// Up and down again (Smith & Topin 2018).
    OneCycle,
    /// As a table says.
    Table,
}

impl Course {
    /// As job files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Step => "step",
            Self::MultiStep => "multi_step",
            Self::Cosine => "cosine",
            Self::Polynomial => "polynomial",
            Self::OneCycle => "one_cycle",
            Self::Table => "table",
        }
    }
}
