//! The `windowed` order: blocks of neighbouring samples in a random order, dealt to streams, shuffled within windows.
//!
//! An epoch lays its blocks (`data.block` samples, those of a shard) one behind the other in a random order. That line is
//! cut into `data.streams` streams of equal length, and each stream into windows of `data.window` samples, which are
//! shuffled. A step takes an equal part of each stream, lane l of L from stream ⌊l·S/L⌋: whoever computes those lanes
//! reads a few shards at a time, each once an epoch.
//!
//! Streams move on with each step, so the order depends on the batch, other than the global one.

use lockstep_proto::job::Job;

use crate::permutation::Permutation;
use crate::random::{Purpose, Random};

/// Stream of random numbers of the blocks' permutation; windows have those below.
const BLOCKS: u64 = u64::MAX;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Windowed {
    seed: u64,
    epoch: u64,
    /// Samples.
    len: u64,
    /// Samples of a step.
    batch: u64,
    streams: u64,
    window: u64,
    blocks: Blocks,
}

/// Blocks one behind the other: index in the line ↔ sample.
#[derive(Clone, Debug)]
struct Blocks {
    order: Permutation,
    /// Samples of each but the last, which may have fewer.
    block: u64,
    /// Where in the line the last block begins, and its samples.
    last: (u64, u64),
}

/// A window of a stream.
struct Window {
    /// Where in the line it begins.
    first: u64,
    order: Permutation,
}

impl Windowed {
    pub(super) fn of(job: &Job, epoch: u64, len: u64) -> Self {
        let seed = job.seed.order;
        let batch = job.batch.size_at(epoch).into();
        let blocks = Blocks::new(job.data.block, len, Random::new(seed, Purpose::Order, epoch, BLOCKS));
        let (streams, window) = (job.data.streams.into(), job.data.window);
        Self { seed, epoch, len, batch, streams, window, blocks }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn sample_at(&self, position: u64) -> u64 {
        assert!(position < self.len, "position {position} of {} samples", self.len);
        let (stream, index) = self.place_at(position);
        let window = self.window(stream, index / self.window);
        self.blocks.at(window.first + window.order.at(index % self.window))
    }

    pub(super) fn position_of(&self, sample: u64) -> u64 {
        assert!(sample < self.len, "sample {sample} of {} samples", self.len);
        let line = self.blocks.index_of(sample);
        // The last stream that begins at or before it.
        let stream = ((u128::from(line + 1) * u128::from(self.streams) - 1) / u128::from(self.len)) as u64;
        let number = (line - self.begin(stream)) / self.window;
        let window = self.window(stream, number);
        self.position_at(stream, number * self.window + window.order.position_of(line - window.first))
    }

    /// The stream of a position, and its index there.
    fn place_at(&self, position: u64) -> (u64, u64) {
        let (steps, part) = self.steps();
        if position < steps * self.batch {
            let (step, within) = (position / self.batch, position % self.batch);
            return (within / part, step * part + within % part);
        }
        // Of a short last step: what is left of each stream, one after the other.
        let mut left = position - steps * self.batch;
        for stream in 0..self.streams {
            let rest = self.begin(stream + 1) - self.begin(stream) - steps * part;
            if left < rest {
                return (stream, steps * part + left);
            }
            left -= rest;
        }
        unreachable!("streams hold all samples")
    }

    fn position_at(&self, stream: u64, index: u64) -> u64 {
        let (steps, part) = self.steps();
        if index < steps * part {
            return index / part * self.batch + stream * part + index % part;
        }
        let before = self.begin(stream) - stream * steps * part;
        steps * self.batch + before + index - steps * part
    }

    /// An epoch's full steps, and the samples of each that are of one stream.
    fn steps(&self) -> (u64, u64) {
        (self.len / self.batch, self.batch / self.streams)
    }

    /// Where in the line a stream begins.
    fn begin(&self, stream: u64) -> u64 {
        (u128::from(stream) * u128::from(self.len) / u128::from(self.streams)) as u64
    }

    fn window(&self, stream: u64, number: u64) -> Window {
        let first = self.begin(stream) + number * self.window;
        let len = self.window.min(self.begin(stream + 1) - first);
        let random = Random::new(self.seed, Purpose::Order, self.epoch, stream << 40 | number);
        Window { first, order: Permutation::new(len, random) }
    }
}

impl Blocks {
    fn new(block: u64, len: u64, random: Random) -> Self {
        let order = Permutation::new(len.div_ceil(block), random);
        let last = order.len() - 1;
        let begin = order.position_of(last) * block;
        Self { order, block, last: (begin, len - last * block) }
    }

    fn at(&self, line: u64) -> u64 {
        let (begin, samples) = self.last;
        // As if the last block were as long as the others.
        let line = if line < begin + samples { line } else { line + self.block - samples };
        self.order.at(line / self.block) * self.block + line % self.block
    }

    fn index_of(&self, sample: u64) -> u64 {
        let (begin, samples) = self.last;
        let line = self.order.position_of(sample / self.block) * self.block + sample % self.block;
        if line < begin + samples { line } else { line - (self.block - samples) }
    }
}
