//! Choices by a seed.

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each pair.
    pub fn new(seed: u64, which: u64) -> Self {
        let mut random = Self(seed);
        Self(random.next() ^ which.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to below `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    /// The same, but as often small as large: each power of two comes as often as any other.
    pub fn of_any_size(&mut self, low: u64, high: u64) -> u64 {
        let bits = self.between(low.ilog2().into(), high.ilog2().into());
        self.between(1 << bits, 2 << bits).clamp(low, high - 1)
    }
}
