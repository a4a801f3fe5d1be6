//! Folds f32 runs that lie somewhere in memory, in pieces that stay in the cache.

use std::ops::Range;

use lockstep_kernels::shared_memory::{Stores, add, add_assign, add_four, copy};

use crate::tree::Fold;

/// Elements of a piece (8 KiB): a few intermediate sums fit the first-level cache.
const PIECE: usize = 2048;

/// Results larger than this many elements (4 MiB) would throw the inputs out of the cache.
const STREAMING: usize = 1 << 20;

/// An entry of the fold's stack: untouched input, or an intermediate sum.
#[derive(Clone, Copy)]
enum Entry {
    Source(usize),
    Scratch(usize),
}

/// Intermediate sums, kept from one fold to the next.
#[derive(Default)]
pub(crate) struct Scratch {
    rows: Vec<Vec<f32>>,
    stack: Vec<Entry>,
}

/// How results of a vector of `elements` should be stored.
pub(crate) fn stores_for(elements: usize) -> Stores {
    if elements > STREAMING { Stores::Streaming } else { Stores::Cached }
}

impl Scratch {
    /// `to = fold(sources)`, where `source(i, range)` is part `range` (from the start of `to`) of source `i`.
    pub(crate) fn fold<'a>(
        &mut self,
        fold: &Fold,
        to: &mut [f32],
        stores: Stores,
        source: impl Fn(usize, Range<usize>) -> &'a [f32],
    ) {
        let len = to.len();
        for start in (0..len).step_by(PIECE) {
            let range = start..len.min(start + PIECE);
            self.piece(fold, &mut to[range.clone()], stores, |index| source(index, range.clone()));
        }
    }

    fn piece<'a>(&mut self, fold: &Fold, to: &mut [f32], stores: Stores, source: impl Fn(usize) -> &'a [f32]) {
        match fold.additions() {
            [] => to.fill(0.0),
            [_] => copy(to, source(0), stores),
            [_, _] => add(to, source(0), source(1), stores),
            [0, 1, 0, 2] => add_four(to, [source(0), source(1), source(2), source(3)], stores),
            additions => self.interpret(additions, to, stores, source),
        }
    }

    fn interpret<'a>(
        &mut self,
        additions: &[u32],
        to: &mut [f32],
        stores: Stores,
        source: impl Fn(usize) -> &'a [f32],
    ) {
        self.stack.clear();
        let mut used = 0;
        for (index, &count) in additions.iter().enumerate() {
            self.stack.push(Entry::Source(index));
            for addition in 0..count {
                let right = self.stack.pop().expect("an addition takes two entries");
                let left = self.stack.pop().expect("an addition takes two entries");
                if index + 1 == additions.len() && addition + 1 == count {
                    return self.last(to, (left, right), stores, source);
                }
                let sum = self.add((left, right), &mut used, to.len(), &source);
                self.stack.push(Entry::Scratch(sum));
            }
        }
    }

    /// The addition whose sum is the result.
    fn last<'a>(&self, to: &mut [f32], pair: (Entry, Entry), stores: Stores, source: impl Fn(usize) -> &'a [f32]) {
        let run = |entry| match entry {
            Entry::Source(index) => source(index),
            Entry::Scratch(row) => &self.rows[row][..to.len()],
        };
        let (left, right) = (run(pair.0), run(pair.1));
        add(to, left, right, stores);
    }

    /// Adds into a scratch row and returns its number. Rows are used like a stack, of which `used` are taken.
    fn add<'a>(
        &mut self,
        pair: (Entry, Entry),
        used: &mut usize,
        len: usize,
        source: &impl Fn(usize) -> &'a [f32],
    ) -> usize {
        match pair {
            (Entry::Source(left), Entry::Source(right)) => {
                if *used == self.rows.len() {
                    self.rows.push(vec![0.0; PIECE]);
                }
                add(&mut self.rows[*used][..len], source(left), source(right), Stores::Cached);
                *used += 1;
                *used - 1
            }
            // f32 addition commutes, bit by bit (but for which NaN a NaN is).
            (Entry::Scratch(row), Entry::Source(index)) | (Entry::Source(index), Entry::Scratch(row)) => {
                add_assign(&mut self.rows[row][..len], source(index));
                row
            }
            (Entry::Scratch(left), Entry::Scratch(right)) => {
                let (low, high) = self.rows.split_at_mut(right);
                add_assign(&mut low[left][..len], &high[0][..len]);
                *used -= 1;
                left
            }
        }
    }
}
