//! `[batch]`, `[schedule]` and `[optimizer]`: steps and updates.

use serde::{Deserialize, Serialize};

/// Batch size = lanes × micro-batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// Samples a step, B.
    pub size: u32,
    /// Samples a lane, b; divides B.
    pub micro_batch: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 64, micro_batch: 32 }
    }
}

impl Batch {
    /// Lanes of a full batch, L.
    pub fn lanes(&self) -> u32 {
        self.size / self.micro_batch
    }
}

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

/// The update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    /// Which update.
    pub name: OptimizerName,
    /// η.
    pub learning_rate: f64,
    /// Momentum, in [0, 1).
    pub momentum: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// How gradients are added.
    pub reduction: Reduction,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            name: OptimizerName::Sgd,
            learning_rate: 0.01,
            momentum: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            reduction: Reduction::Tree,
        }
    }
}

/// Optimisers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// Stochastic gradient descent.
    Sgd,
}

/// How gradients are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// The fixed tree over lanes: the same bits for any number of workers.
    Tree,
}
