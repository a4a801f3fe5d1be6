//! The `global` order: an epoch's permutation of all samples, as a function with an exact inverse.
//!
//! A keyed Feistel network permutes `0 .. 2^bits`, the smallest such range that holds all samples (at least 2 bits);
//! results outside `0 .. n` are sent through again until they fall inside (cycle-walking), which keeps it a bijection
//! on `0 .. n` for every n. Fewer than two passes are expected, since over half of the range is inside.
//!
//! Memory is a few words for any number of samples, so that a worker can start at any cursor of any epoch.

use super::random::{Purpose, Random};

const ROUNDS: usize = 6;

/// The order of one epoch's samples: position ↔ sample.
#[derive(Clone, Debug)]
pub struct Order {
    len: u64,
    /// Widths of the two halves of a value; they differ by one where `bits` is odd.
    low_bits: u32,
    high_bits: u32,
    round_keys: [u64; ROUNDS],
}

impl Order {
    /// The order of `len` samples in `epoch`, of `seed.order`.
    pub fn new(seed: u64, epoch: u64, len: u64) -> Self {
        // From len − 1, the largest sample, not from len: a power of two fits its own range exactly.
        let bits = (u64::BITS - len.saturating_sub(1).leading_zeros()).max(2);
        let mut random = Random::new(seed, Purpose::Order, epoch, 0);
        Self {
            len,
            low_bits: bits.div_ceil(2),
            high_bits: bits / 2,
            round_keys: std::array::from_fn(|_| random.next_u64()),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The sample at a position.
    ///
    /// # Panics
    /// If `position` is not below `len`.
    pub fn sample_at(&self, position: u64) -> u64 {
        assert!(position < self.len, "position {position} of {} samples", self.len);
        let mut value = self.encipher(position);
        while value >= self.len {
            value = self.encipher(value);
        }
        value
    }

    /// The position of a sample: `position_of(sample_at(p)) = p`.
    ///
    /// # Panics
    /// If `sample` is not below `len`.
    pub fn position_of(&self, sample: u64) -> u64 {
        assert!(sample < self.len, "sample {sample} of {} samples", self.len);
        let mut value = self.decipher(sample);
        while value >= self.len {
            value = self.decipher(value);
        }
        value
    }

    fn encipher(&self, value: u64) -> u64 {
        let (mut low, mut high) = self.halves(value);
        for (round, &key) in self.round_keys.iter().enumerate() {
            (low, high) = self.round(round, key, low, high);
        }
        high << self.low_bits | low
    }

    fn decipher(&self, value: u64) -> u64 {
        let (mut low, mut high) = self.halves(value);
        for (round, &key) in self.round_keys.iter().enumerate().rev() {
            (low, high) = self.round(round, key, low, high);
        }
        high << self.low_bits | low
    }

    /// One round; its own inverse. Rounds change the two halves in turn instead of swapping them, which lets the
    /// halves differ in width.
    fn round(&self, round: usize, key: u64, low: u64, high: u64) -> (u64, u64) {
        if round.is_multiple_of(2) {
            (low ^ mix(high, key) & mask(self.low_bits), high)
        } else {
            (low, high ^ mix(low, key) & mask(self.high_bits))
        }
    }

    fn halves(&self, value: u64) -> (u64, u64) {
        (value & mask(self.low_bits), value >> self.low_bits)
    }
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// Spreads a half's bits over a word: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) after the key.
fn mix(half: u64, key: u64) -> u64 {
    let x = half.wrapping_add(key);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every sample comes up once, and the inverse finds its position.
    fn check_bijection(seed: u64, epoch: u64, len: u64) {
        let order = Order::new(seed, epoch, len);
        let mut seen = vec![false; len as usize];
        for position in 0..len {
            let sample = order.sample_at(position);
            let seen = &mut seen[sample as usize];
            assert!(!*seen, "sample {sample} of {len} comes up twice");
            *seen = true;
            assert_eq!(order.position_of(sample), position);
        }
    }

    #[test]
    fn bijective_for_every_small_number_of_samples() {
        for len in 1..=600 {
            check_bijection(len, 3, len);
        }
    }

    #[test]
    fn bijective_beside_powers_of_two() {
        for bits in 10..=18 {
            for len in [(1 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                check_bijection(1, bits, len);
            }
        }
        for len in [60_000, 1_281_167] {
            check_bijection(0, 0, len);
        }
    }

    #[test]
    fn reaches_the_ends_of_the_largest_range() {
        for len in [u64::MAX, u64::MAX / 2 + 2, u64::from(u32::MAX) + 2] {
            let order = Order::new(5, 0, len);
            for position in [0, 1, len / 2, len - 2, len - 1] {
                assert_eq!(order.position_of(order.sample_at(position)), position);
            }
        }
    }

    #[test]
    fn golden_samples() {
        // Pinned: a change here reorders the samples of every job.
        let check = |seed, epoch, len, first: [u64; 6]| {
            let order = Order::new(seed, epoch, len);
            assert_eq!([0, 1, 2, 3, 4, 5].map(|position| order.sample_at(position)), first);
        };
        check(0, 0, 10, [2, 0, 5, 1, 6, 7]);
        check(0, 0, 60_000, [43_707, 2_171, 9_726, 31_403, 42_706, 1_622]);
        check(0, 1, 60_000, [38_932, 37_180, 3_573, 7_302, 1_019, 42_959]);
        check(1, 0, 60_000, [54_376, 21_203, 34_471, 1_670, 28_555, 5_732]);
        check(u64::MAX, 89, 1_281_167, [461_215, 638_768, 447_070, 242_443, 219_090, 689_721]);
    }

    #[test]
    fn every_permutation_of_three_samples_comes_up_about_evenly() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6_000 {
            let order = Order::new(9, epoch, 3);
            let all: Vec<u64> = (0..3).map(|position| order.sample_at(position)).collect();
            *counts.entry(all).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| count.abs_diff(1_000) < 250), "{counts:?}");
    }

    #[test]
    fn batches_of_class_sorted_samples_are_as_mixed_as_a_fair_shuffle() {
        // 10 classes of 6,000, batches of 100: Σ over batches and classes of (count − 10)² / 10 follows about a
        // χ² of 600·9 = 5,400 degrees of freedom, standard deviation 104.
        let order = Order::new(4, 2, 60_000);
        let mut chi_squared = 0.0;
        for batch in 0..600 {
            let mut counts = [0.0f64; 10];
            for position in batch * 100..(batch + 1) * 100 {
                counts[(order.sample_at(position) / 6_000) as usize] += 1.0;
            }
            chi_squared += counts.iter().map(|count| (count - 10.0).powi(2) / 10.0).sum::<f64>();
        }
        assert!((chi_squared - 5_400.0).abs() < 520.0, "χ² {chi_squared}");
    }

    #[test]
    fn epochs_and_seeds_agree_no_more_than_by_chance() {
        let orders = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(seed, epoch)| Order::new(seed, epoch, 10_000));
        for (i, a) in orders.iter().enumerate() {
            for b in &orders[..i] {
                let same = (0..10_000).filter(|&position| a.sample_at(position) == b.sample_at(position));
                assert!(same.count() < 12);
            }
        }
    }

    proptest! {
        #[test]
        fn the_inverse_is_exact(seed: u64, epoch: u64, len in 1u64.., at: u64) {
            let order = Order::new(seed, epoch, len);
            let sample = order.sample_at(at % len);
            prop_assert!(sample < len);
            prop_assert_eq!(order.position_of(sample), at % len);
        }
    }
}
