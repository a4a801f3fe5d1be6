//! Philox4x32-10 for 16 keys at once (Salmon, Moraes, Dror & Shaw, *Parallel random numbers: as easy as 1, 2, 3*,
//! 2011).
//!
//! Integers alone, so that every instruction set gives the same bits; the compiler turns the loops over the 16 lanes
//! into vector instructions.

use crate::simd::WIDTH;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// One 32-bit word of each of 16 samples.
pub(super) type Words = [u32; WIDTH];

/// The keys' low words and their high words. Samples without a key get 0.
pub(super) fn split(keys: &[u64]) -> [Words; 2] {
    let mut words = [[0; WIDTH]; 2];
    for (i, key) in keys.iter().enumerate() {
        words[0][i] = *key as u32;
        words[1][i] = (key >> 32) as u32;
    }
    words
}

/// The four words of block `block` under each key: the counter is (block, 0, 0, 0).
#[inline(always)]
pub(super) fn block(mut key: [Words; 2], block: u32) -> [Words; 4] {
    let mut counter = [[block; WIDTH], [0; WIDTH], [0; WIDTH], [0; WIDTH]];
    for _ in 0..ROUNDS {
        let mut next = counter;
        for i in 0..WIDTH {
            let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0][i]);
            let second = u64::from(MULTIPLIERS[1]) * u64::from(counter[2][i]);
            next[0][i] = (second >> 32) as u32 ^ counter[1][i] ^ key[0][i];
            next[1][i] = second as u32;
            next[2][i] = (first >> 32) as u32 ^ counter[3][i] ^ key[1][i];
            next[3][i] = first as u32;
        }
        counter = next;
        for i in 0..WIDTH {
            key[0][i] = key[0][i].wrapping_add(KEY_STEPS[0]);
            key[1][i] = key[1][i].wrapping_add(KEY_STEPS[1]);
        }
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the known answers of Random123 for a zero counter, and by the formula in 64-bit arithmetic for others.
    #[test]
    fn blocks_are_philox4x32_10() {
        let words = block(split(&[0, 0x0123_4567_89ab_cdef]), 0);
        assert_eq!(words.map(|word| word[0]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        for number in [0, 1, 77, u32::MAX] {
            let words = block(split(&[0, 0x0123_4567_89ab_cdef]), number);
            assert_eq!(words.map(|word| word[1]), plain([number, 0, 0, 0], [0x89ab_cdef, 0x0123_4567]));
        }
    }

    /// The paper's formula for one key.
    fn plain(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
        for round in 0..10 {
            if round > 0 {
                key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
            }
            let a = 0xD251_1F53u64 * u64::from(counter[0]);
            let b = 0xCD9E_8D57u64 * u64::from(counter[2]);
            let high = |x: u64| (x >> 32) as u32;
            counter = [high(b) ^ counter[1] ^ key[0], b as u32, high(a) ^ counter[3] ^ key[1], a as u32];
        }
        counter
    }
}
