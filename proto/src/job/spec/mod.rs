//! The job file's tables and keys, with their defaults. `recipes/REFERENCE.md` documents each.

mod augment;
mod batch;
mod checkpoint;
mod cluster;
mod data;
mod layers;
mod model;
mod optimizer;
mod probe;
mod schedule;

use serde::{Deserialize, Serialize};

pub use augment::*;
pub use batch::*;
pub use checkpoint::*;
pub use cluster::*;
pub use data::*;
pub use layers::*;
pub use model::*;
pub use optimizer::*;
pub use probe::*;
pub use schedule::*;

/// A resolved job: everything that the trained weights depend on, and where it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Job {
    /// Seeds of every random choice.
    pub seed: Seed,
    /// Training and test data.
    pub data: Data,
    /// How training samples are changed.
    pub augment: Augment,
    /// The network.
    pub model: Model,
    /// What is minimised.
    pub loss: Loss,
    /// Batch and micro-batch.
    pub batch: Batch,
    /// How long, and the learning rate over time.
    pub schedule: Schedule,
    /// The update.
    pub optimizer: Optimizer,
    /// When to evaluate.
    pub evaluate: Evaluate,
    /// What is measured on the way: changes no weight.
    pub probe: Vec<Probe>,
    /// How often to report.
    pub metrics: Metrics,
    /// The figure that others reached, to stand beside ours.
    pub published: Published,
    /// When and where checkpoints are written: changes no result.
    pub checkpoint: Checkpoint,
    /// Where it runs: changes no result.
    pub cluster: Cluster,
}

/// Seeds. In a file, `seed = 1` sets all three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// Initial weights.
    pub init: u64,
    /// Order of samples.
    pub order: u64,
    /// Augmentation and dropout.
    pub augment: u64,
}

/// When to evaluate, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Epochs between evaluations; 0 for none at the end of epochs.
    pub every_epochs: u32,
    /// Steps between evaluations; 0 for none by steps.
    pub every_steps: u64,
    /// Whether the test samples are looked at, at the end and where no samples are held out.
    pub test: bool,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self { every_epochs: 1, every_steps: 0, test: true }
    }
}

/// How often to report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Steps between lines of `metrics.jsonl`.
    pub every: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { every: 50 }
    }
}

/// The figure that others reached with this network and data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Published {
    /// Test error as a fraction; 0 for none.
    pub test_error: f64,
    /// Who published it.
    pub source: String,
}
