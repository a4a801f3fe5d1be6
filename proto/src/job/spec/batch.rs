//! `[batch]`: the samples of a step.

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
