//! An epoch's order of all samples, as a function with an exact inverse: position ↔ sample.
//!
//! `global` permutes all samples. `windowed` (`order/windowed.rs`) is for datasets that are larger than a node's disk, and goes
//! through blocks of neighbours. Both are pure functions of the job, the epoch and the number of samples, in memory of a
//! few words.

mod windowed;

use lockstep_proto::job::{self, Job};

use super::permutation::Permutation;
use super::random::{Purpose, Random};
use windowed::Windowed;

/// The order of one epoch's samples.
#[derive(Clone, Debug)]
pub struct Order(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Global(Permutation),
    Windowed(Windowed),
}

impl Order {
    /// The `global` order of `len` samples in `epoch`, of `seed.order`.
    pub fn new(seed: u64, epoch: u64, len: u64) -> Self {
        Self(Kind::Global(Permutation::new(len, Random::new(seed, Purpose::Order, epoch, 0))))
    }

    /// The order of a job's `len` training samples in `epoch`.
    pub fn of(job: &Job, epoch: u64, len: u64) -> Self {
        match job.data.order {
            job::Order::Global => Self::new(job.seed.order, epoch, len),
            job::Order::Windowed => Self(Kind::Windowed(Windowed::of(job, epoch, len))),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kind::Global(all) => all.len(),
            Kind::Windowed(windowed) => windowed.len(),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sample at a position.
    ///
    /// # Panics
    /// If `position` is not below `len`.
    pub fn sample_at(&self, position: u64) -> u64 {
        match &self.0 {
            Kind::Global(all) => all.at(position),
            Kind::Windowed(windowed) => windowed.sample_at(position),
        }
    }

    /// The position of a sample: `position_of(sample_at(p)) = p`.
    ///
    /// # Panics
    /// If `sample` is not below `len`.
    pub fn position_of(&self, sample: u64) -> u64 {
        match &self.0 {
            Kind::Global(all) => all.position_of(sample),
            Kind::Windowed(windowed) => windowed.position_of(sample),
        }
    }
}

#[cfg(test)]
mod tests;
