//! The small numbers that ride beside the gradient in the same tree.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::tree::Fold;

/// Sums, counts and flags of one lane, or of a subtree of lanes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Added in f64, in tree order: losses, squared norms, batch-norm statistics.
    pub sums: Vec<f64>,
    /// Added modulo 2⁶⁴: samples, correct answers, hashed sample ids.
    pub counts: Vec<u64>,
    /// Bits that are set if any lane sets them: stop wanted, bad samples.
    pub flags: u64,
}

impl Tally {
    /// Zeros.
    pub fn new(sums: usize, counts: usize) -> Self {
        Self { sums: vec![0.0; sums], counts: vec![0; counts], flags: 0 }
    }

    /// `self += right`, this being the left child in the tree.
    ///
    /// # Panics
    /// If the numbers of sums or counts differ.
    pub fn add(&mut self, right: &Self) {
        assert_eq!(
            (self.sums.len(), self.counts.len()),
            (right.sums.len(), right.counts.len()),
            "tallies differ in shape"
        );
        self.sums.iter_mut().zip(&right.sums).for_each(|(left, right)| *left += right);
        self.counts.iter_mut().zip(&right.counts).for_each(|(left, right)| *left = left.wrapping_add(*right));
        self.flags |= right.flags;
    }

    /// Back to zeros, keeping the shape.
    pub fn clear(&mut self) {
        self.sums.fill(0.0);
        self.counts.fill(0);
        self.flags = 0;
    }

    /// 64-bit words that a tally takes in shared memory and on the wire.
    pub(crate) fn words(sums: usize, counts: usize) -> usize {
        sums + counts + 1
    }

    /// This tally as words: sums, counts, flags.
    pub(crate) fn encode(&self) -> impl Iterator<Item = u64> {
        let sums = self.sums.iter().map(|sum| sum.to_bits());
        sums.chain(self.counts.iter().copied()).chain([self.flags])
    }

    /// Takes the values that [`Self::encode`] gave.
    pub(crate) fn decode(&mut self, mut words: impl Iterator<Item = u64>) {
        let mut next = || words.next().expect("as many words as the shape has");
        self.sums.iter_mut().for_each(|sum| *sum = f64::from_bits(next()));
        self.counts.iter_mut().for_each(|count| *count = next());
        self.flags = next();
    }

    pub(crate) fn store(&self, words: &[AtomicU64]) {
        self.encode().zip(words).for_each(|(value, word)| word.store(value, Ordering::Relaxed));
    }

    pub(crate) fn load(&mut self, words: &[AtomicU64]) {
        self.decode(words.iter().map(|word| word.load(Ordering::Relaxed)));
    }
}

/// Folds tallies, keeping its entries from one reduction to the next.
pub(crate) struct TallyStack {
    shape: (usize, usize),
    entries: Vec<Tally>,
}

impl TallyStack {
    pub(crate) fn new(sums: usize, counts: usize) -> Self {
        Self { shape: (sums, counts), entries: vec![Tally::new(sums, counts)] }
    }

    /// The sum of the tallies that `load(index, entry)` puts into entries; zeros if there are none.
    pub(crate) fn fold(&mut self, fold: &Fold, mut load: impl FnMut(usize, &mut Tally)) -> &Tally {
        let mut depth = 0;
        for (index, &additions) in fold.additions().iter().enumerate() {
            if depth == self.entries.len() {
                self.entries.push(Tally::new(self.shape.0, self.shape.1));
            }
            load(index, &mut self.entries[depth]);
            depth += 1;
            for _ in 0..additions {
                depth -= 1;
                let (left, right) = self.entries.split_at_mut(depth);
                left[depth - 1].add(&right[0]);
            }
        }
        if fold.is_empty() {
            self.entries[0].clear();
        }
        &self.entries[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_each_part_in_its_own_way_and_survives_words() {
        let mut left = Tally { sums: vec![1.5, -0.0], counts: vec![u64::MAX, 3], flags: 0b01 };
        left.add(&Tally { sums: vec![2.0, 0.0], counts: vec![2, 4], flags: 0b10 });
        assert_eq!(left, Tally { sums: vec![3.5, 0.0], counts: vec![1, 7], flags: 0b11 });

        let words: Vec<AtomicU64> = (0..Tally::words(2, 2)).map(|_| AtomicU64::new(0)).collect();
        left.store(&words);
        let mut copy = Tally::new(2, 2);
        copy.load(&words);
        assert_eq!(copy, left);
        copy.clear();
        assert_eq!(copy, Tally::new(2, 2));
    }
}
