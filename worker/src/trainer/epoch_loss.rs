//! The running mean of an epoch's loss. It is part of the state, so that it doesn't matter who joined when.

use super::measures::Score;

/// Sums over the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EpochLoss {
    /// Of the epoch under way: loss × samples, in the order of steps.
    pub sum: f64,
    /// Of the epoch under way.
    pub samples: u64,
    /// Mean of the epoch before.
    pub before: f64,
}

impl EpochLoss {
    /// With one more step, the last of its epoch or not.
    pub fn with(mut self, score: &Score, ends_epoch: bool) -> Self {
        self.sum += score.loss * score.samples as f64;
        self.samples += score.samples;
        if ends_epoch { Self { sum: 0.0, samples: 0, before: self.mean() } } else { self }
    }

    /// Mean loss of the epoch that is under way, or before its first step that of the one before.
    pub fn mean(&self) -> f64 {
        if self.samples == 0 { self.before } else { self.sum / self.samples as f64 }
    }

    /// As words: part of what is shared and digested.
    pub fn words(&self) -> [u64; 3] {
        [self.sum.to_bits(), self.samples, self.before.to_bits()]
    }

    /// The inverse of [`Self::words`].
    pub fn from_words([sum, samples, before]: [u64; 3]) -> Self {
        Self { sum: f64::from_bits(sum), samples, before: f64::from_bits(before) }
    }
}
