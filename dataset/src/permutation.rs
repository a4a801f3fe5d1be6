//! Permutations of any number of things, as functions with an exact inverse.
//!
//! A keyed Feistel network permutes `0 .. 2^bits`, the smallest such range that holds all things (at least 2 bits);
//! results outside `0 .. n` are sent through again until they fall inside (cycle-walking), which keeps it a bijection
//! on `0 .. n` for every n. Fewer than two passes are expected, since over half of the range is inside.
//!
//! Memory is a few words for any number of things, so that a worker can start at any cursor of any epoch.

use super::random::Random;

const ROUNDS: usize = 6;

/// A permutation of `0 .. len`: position ↔ thing.
#[derive(Clone, Debug)]
pub struct Permutation {
    len: u64,
    /// Widths of the two halves of a value; they differ by one where `bits` is odd.
    low_bits: u32,
    high_bits: u32,
    round_keys: [u64; ROUNDS],
}

impl Permutation {
    /// One of `len` things, by a stream of random numbers.
    pub fn new(len: u64, mut random: Random) -> Self {
        // From len − 1, the largest thing, not from len: a power of two fits its own range exactly.
        let bits = (u64::BITS - len.saturating_sub(1).leading_zeros()).max(2);
        Self {
            len,
            low_bits: bits.div_ceil(2),
            high_bits: bits / 2,
            round_keys: std::array::from_fn(|_| random.next_u64()),
        }
    }

    /// Number of things.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The thing at a position.
    ///
    /// # Panics
    /// If `position` is not below `len`.
    pub fn at(&self, position: u64) -> u64 {
        assert!(position < self.len, "position {position} of {}", self.len);
        let mut value = self.encipher(position);
        while value >= self.len {
            value = self.encipher(value);
        }
        value
    }

    /// The position of a thing: `position_of(at(p)) = p`.
    ///
    /// # Panics
    /// If `thing` is not below `len`.
    pub fn position_of(&self, thing: u64) -> u64 {
        assert!(thing < self.len, "{thing} of {}", self.len);
        let mut value = self.decipher(thing);
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
