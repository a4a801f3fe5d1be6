//! `[batch]`: the samples of a step.

use serde::{Deserialize, Serialize};

/// Batch size = lanes × micro-batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// Samples a step, B, from the first epoch on.
    pub size: u32,
    /// Samples a lane, b; divides B.
    pub micro_batch: u32,
    /// Epochs, counted from 0, and B from there on (Smith et al. 2018).
    pub growth: Vec<(u32, u32)>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 64, micro_batch: 32, growth: Vec::new() }
    }
}

impl Batch {
    /// The first epoch of each batch size, and that size.
    pub fn sizes(&self) -> impl Iterator<Item = (u32, u32)> {
        std::iter::once((0, self.size)).chain(self.growth.iter().copied())
    }

    /// The batch size of an epoch.
    pub fn size_at(&self, epoch: u64) -> u32 {
        let begun = self.sizes().take_while(|(first, _)| u64::from(*first) <= epoch);
        begun.last().map_or(self.size, |(_, size)| size)
    }

    /// Lanes of the largest batch, L.
    pub fn lanes(&self) -> u32 {
        self.sizes().map(|(_, size)| size).max().unwrap_or(self.size) / self.micro_batch
    }
}
