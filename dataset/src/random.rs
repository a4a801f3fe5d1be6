//! Counter-based randomness: a draw is a pure function of (seed, purpose, epoch, sample, how many came before it).
//!
//! The generator is Philox4x32-10 of Salmon, Moraes, Dror and Shaw, *Parallel random numbers: as easy as 1, 2, 3*,
//! SC 2011. The key is the seed, low word first; the counter's four words, first to last, are
//!
//! | word | bits | content |
//! |---|---|---|
//! | 0 | 0–27 | block: which four draws of the stream |
//! | 0 | 28–31 | purpose |
//! | 1 | all | sample, low word |
//! | 2 | all | sample, high word |
//! | 3 | all | epoch, low word |
//!
//! The mapping is one to one, so streams of different (seed, purpose, epoch, sample) never share a block, up to 2³² epochs:
//! more than a job may have. Changing it changes every trained weight.

use lockstep_kernels::scalar;

const MULTIPLIER_0: u32 = 0xD251_1F53;
const MULTIPLIER_1: u32 = 0xCD9E_8D57;
const KEY_STEP_0: u32 = 0x9E37_79B9;
const KEY_STEP_1: u32 = 0xBB67_AE85;
const ROUNDS: usize = 10;
const BLOCK_BITS: u32 = 28;
/// 2⁻⁶³.
const TWO_TO_MINUS_63: f64 = 1.0 / (1u64 << 63) as f64;

/// What a stream of random numbers is for. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Initial weights; tensors and elements take the places of epochs and samples.
    Init = 0,
    /// The order of an epoch's samples.
    Order = 1,
    /// Affine map of a sample's image.
    Affine = 2,
    /// Dropout masks of a sample.
    Dropout = 3,
    /// Elastic displacements of a sample's pixels.
    Elastic = 4,
    /// Window that is cut out of a sample's image.
    Crop = 5,
    /// Whether a sample's image is mirrored.
    Flip = 6,
    /// Window of a random size that is cut out of a sample's image.
    ResizedCrop = 7,
    /// Change of light of a sample's image.
    Lighting = 8,
    /// How the samples of a lane are mixed; its first sample takes the place of samples.
    Mix = 9,
    /// Random vectors of a probe; the probe and the vector take the place of epochs, blocks of elements that of samples.
    Probe = 14,
}

/// A stream of random numbers. Cheap to make: make one where it is used instead of passing one along.
#[derive(Clone, Debug)]
pub struct Random {
    key: [u32; 2],
    /// Counter of the next block; its block bits count up.
    counter: [u32; 4],
    block: [u32; 4],
    /// Words of `block` already given out.
    used: usize,
}

impl Random {
    /// The stream of (seed, purpose, epoch, sample). It repeats after 2³⁰ words.
    pub fn new(seed: u64, purpose: Purpose, epoch: u64, sample: u64) -> Self {
        let [sample_low, sample_high] = words(sample);
        Self {
            key: words(seed),
            counter: [u32::from(purpose as u8) << BLOCK_BITS, sample_low, sample_high, epoch as u32],
            block: [0; 4],
            used: 4,
        }
    }

    /// 32 uniform bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32_10(self.counter, self.key);
            self.counter[0] = next_block(self.counter[0]);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// 64 uniform bits: two draws, the first of them the low word.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | u64::from(self.next_u32()) << 32
    }

    /// A draw of the standard normal distribution, by Marsaglia's polar method.
    pub fn next_normal(&mut self) -> f64 {
        loop {
            let [u, v] = [(); 2].map(|()| self.next_u64() as i64 as f64 * TWO_TO_MINUS_63);
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                return u * (-2.0 * scalar::ln(square) / square).sqrt();
            }
        }
    }

    /// A multiple of 2⁻²⁴ in [0, 1): the upper 24 bits of one draw, so every value is exact in f32.
    pub fn next_uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }
}

/// The block number after this one; wraps around inside its bits, so that it never becomes another purpose.
fn next_block(word: u32) -> u32 {
    let mask = (1 << BLOCK_BITS) - 1;
    (word & !mask) | (word.wrapping_add(1) & mask)
}

fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// One block of Philox4x32-10.
fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            key[0] = key[0].wrapping_add(KEY_STEP_0);
            key[1] = key[1].wrapping_add(KEY_STEP_1);
        }
        let [low_0, high_0] = words(u64::from(MULTIPLIER_0) * u64::from(counter[0]));
        let [low_1, high_1] = words(u64::from(MULTIPLIER_1) * u64::from(counter[2]));
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_equal_the_known_answers_of_random123() {
        let check = |counter, key, answer| assert_eq!(philox4x32_10(counter, key), answer);
        check([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        check([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        // Digits of pi.
        check(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        );
    }

    #[test]
    fn a_stream_is_the_documented_key_and_counters() {
        let (seed, epoch, sample) = (0x0123_4567_89ab_cdef, 7, 0xfedc_ba98_7654_3210);
        let mut random = Random::new(seed, Purpose::Dropout, epoch, sample);
        for block in 0..3 {
            let counter = [3 << 28 | block, 0x7654_3210, 0xfedc_ba98, 7];
            for word in philox4x32_10(counter, [0x89ab_cdef, 0x0123_4567]) {
                assert_eq!(random.next_u32(), word);
            }
        }
    }

    #[test]
    fn each_part_of_the_name_gives_another_stream() {
        let first = |seed, purpose, epoch, sample| Random::new(seed, purpose, epoch, sample).next_u64();
        let draws = [
            first(0, Purpose::Init, 0, 0),
            first(1, Purpose::Init, 0, 0),
            first(1 << 32, Purpose::Init, 0, 0),
            first(0, Purpose::Order, 0, 0),
            first(0, Purpose::Affine, 0, 0),
            first(0, Purpose::Dropout, 0, 0),
            first(0, Purpose::Elastic, 0, 0),
            first(0, Purpose::Crop, 0, 0),
            first(0, Purpose::Flip, 0, 0),
            first(0, Purpose::ResizedCrop, 0, 0),
            first(0, Purpose::Lighting, 0, 0),
            first(0, Purpose::Mix, 0, 0),
            first(0, Purpose::Probe, 0, 0),
            first(0, Purpose::Init, 1, 0),
            first(0, Purpose::Init, 0, 1),
            first(0, Purpose::Init, 0, 1 << 32),
        ];
        for (i, draw) in draws.iter().enumerate() {
            assert!(!draws[..i].contains(draw), "stream {i} repeats another");
        }
    }

    #[test]
    fn the_last_block_wraps_around_within_the_purpose() {
        assert_eq!(next_block(0x2fff_ffff), 0x2000_0000);
        assert_eq!(next_block(0x2000_0000), 0x2000_0001);
    }

    #[test]
    fn normal_values_have_the_moments_of_a_normal_distribution() {
        let mut random = Random::new(5, Purpose::Init, 0, 0);
        let draws: Vec<f64> = (0..100_000).map(|_| random.next_normal()).collect();
        let moment = |power: i32| draws.iter().map(|draw| draw.powi(power)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.015 && (moment(2) - 1.0).abs() < 0.02, "{} {}", moment(1), moment(2));
        assert!(moment(3).abs() < 0.05 && (moment(4) - 3.0).abs() < 0.15, "{} {}", moment(3), moment(4));
        let beyond_two = draws.iter().filter(|draw| draw.abs() > 2.0).count() as f64 / draws.len() as f64;
        assert!((beyond_two - 0.0455).abs() < 0.003, "{beyond_two}");
    }

    #[test]
    fn uniform_values_fill_the_unit_interval_evenly() {
        let mut random = Random::new(3, Purpose::Affine, 0, 0);
        let mut bins = [0u32; 10];
        let mut sum = 0.0;
        for _ in 0..100_000 {
            let value = random.next_uniform();
            assert!((0.0..1.0).contains(&value));
            bins[(value * 10.0) as usize] += 1;
            sum += f64::from(value);
        }
        assert!((sum / 1e5 - 0.5).abs() < 0.005);
        assert!(bins.iter().all(|count| count.abs_diff(10_000) < 500), "{bins:?}");
    }
}
