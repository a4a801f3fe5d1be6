//! How a split is cut into shards: decided once, so that shards can be made in any order, at once, and after a kill.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::item::Maker;
use super::record::Sources;
use super::{PrepareError, Smaller, shard};
use crate::manifest::Hash;
use crate::order::Order;

/// Its file among the unfinished work.
pub(super) const FILE: &str = "plan.json";
/// Samples that are looked at to know how large one is.
const LOOKED_AT: u64 = 256;
/// What a tar adds to a sample: two headers, a block for its label, and half a block behind its image.
const OVERHEAD: u64 = 3 * 512 + 256;

/// All that shards depend on. Work is gone on with if it was done by the same plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// Of all sources.
    pub(super) sources: Hash,
    pub(super) samples: u64,
    pub(super) samples_a_shard: u32,
    pub(super) seed: u64,
    pub(super) smaller: Option<Smaller>,
    pub(super) classes: Vec<String>,
}

impl Plan {
    /// A plan of shards of about `shard_bytes`. Samples that are looked at and bad count as nothing.
    pub(super) fn new(
        sources: &Sources,
        order: &Order,
        classes: Vec<String>,
        (seed, shard_bytes, smaller): (u64, u64, Option<Smaller>),
    ) -> io::Result<Self> {
        let looked_at = sources.count.min(LOOKED_AT);
        let mut maker = Maker::default();
        let mut bytes = 0;
        for position in 0..looked_at {
            let source = sources.get(order.sample_at(position))?;
            bytes += OVERHEAD + maker.make(&source, smaller.as_ref()).map_or(0, |item| item.bytes.len() as u64);
        }
        let shards = (sources.count as u128 * u128::from(bytes)).div_ceil(u128::from(looked_at * shard_bytes.max(1)));
        let samples_a_shard = u128::from(sources.count).div_ceil(shards.max(1)).clamp(1, 1 << 20) as u32;
        Ok(Self { sources: sources.digest, samples: sources.count, samples_a_shard, seed, smaller, classes })
    }

    /// Number of shards.
    pub(super) fn shards(&self) -> u32 {
        self.samples.div_ceil(self.samples_a_shard.into()) as u32
    }

    /// Positions of a shard's samples.
    pub(super) fn positions(&self, shard: u32) -> Range<u64> {
        let first = u64::from(shard) * u64::from(self.samples_a_shard);
        first..(first + u64::from(self.samples_a_shard)).min(self.samples)
    }

    /// Leaves word of the plan in the split's folder, or finds that it is the one that was left there.
    pub(super) fn settle(&self, folder: &Path, unfinished: &Path) -> Result<(), PrepareError> {
        let path = unfinished.join(FILE);
        let target = |source: io::Error| PrepareError::Target { path: path.clone(), source };
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice::<Self>(&text) {
                Ok(plan) if plan == *self => Ok(()),
                _ => Err(PrepareError::Other(folder.to_owned())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Readers of `shard-*.tar` would take others' shards for ours.
                if let Some(stale) = shard::any_in(folder).map_err(target)? {
                    return Err(PrepareError::Stale(stale));
                }
                let text = serde_json::to_vec(self).map_err(|error| target(error.into()))?;
                super::files::write_whole(&path, &text).map_err(target)
            }
            Err(error) => Err(target(error)),
        }
    }
}
