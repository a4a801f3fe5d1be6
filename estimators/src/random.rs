//! Random signs as a pure function of (seed, draw, element): every worker makes the same, and none keeps them.
//!
//! A word of 64 signs is SplitMix64's output function (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
//! generators") of a counter that seed and draw begin.

/// Signs in a word.
const SIGNS: usize = 64;
/// SplitMix64's step, the odd number nearest to 2⁶⁴/φ.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Where a stream of signs begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signs {
    start: u64,
}

impl Signs {
    /// The stream of one draw.
    pub fn new(seed: u64, draw: u64) -> Self {
        Self { start: mix(mix(seed.wrapping_add(STEP)) ^ draw.wrapping_mul(STEP)) }
    }

    /// A vector of ±1 (Rademacher).
    pub fn fill(self, to: &mut [f32]) {
        for (word, to) in to.chunks_mut(SIGNS).enumerate() {
            let bits = self.word(word);
            for (i, to) in to.iter_mut().enumerate() {
                *to = if bits >> i & 1 == 1 { 1.0 } else { -1.0 };
            }
        }
    }

    /// `to += factor · signs`.
    pub fn add_to(self, factor: f64, to: &mut [f64]) {
        for (word, to) in to.chunks_mut(SIGNS).enumerate() {
            let bits = self.word(word);
            for (i, to) in to.iter_mut().enumerate() {
                *to += if bits >> i & 1 == 1 { factor } else { -factor };
            }
        }
    }

    /// Σ signs · x, each word's first.
    pub fn dot(self, x: impl Fn(usize) -> f64, len: usize) -> f64 {
        let mut total = 0.0;
        for word in 0..len.div_ceil(SIGNS) {
            let (bits, first) = (self.word(word), word * SIGNS);
            let mut sum = 0.0;
            for i in 0..SIGNS.min(len - first) {
                let x = x(first + i);
                sum += if bits >> i & 1 == 1 { x } else { -x };
            }
            total += sum;
        }
        total
    }

    /// Σ signs · the other's signs.
    pub fn overlap(self, other: Self, len: usize) -> i64 {
        let differ = |word: usize| {
            let bits = self.word(word) ^ other.word(word);
            let used = SIGNS.min(len - word * SIGNS);
            (bits << (SIGNS - used)).count_ones()
        };
        len as i64 - 2 * (0..len.div_ceil(SIGNS)).map(|word| i64::from(differ(word))).sum::<i64>()
    }

    fn word(self, word: usize) -> u64 {
        mix(self.start.wrapping_add((word as u64).wrapping_mul(STEP)))
    }
}

/// SplitMix64's output function, one to one.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_even_and_unrelated_to_each_other() {
        let len = 10_000;
        let draw = |seed, draw| {
            let mut signs = vec![0.0f32; len];
            Signs::new(seed, draw).fill(&mut signs);
            signs
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let all: Vec<_> = (0..10).flat_map(|seed| (0..4).map(move |of| draw(seed, of))).collect();
        // Sums of 10,000 signs have a standard deviation of 100.
        for (i, a) in all.iter().enumerate() {
            assert!(dot(a, &vec![1.0; len]).abs() < 450.0);
            all[..i].iter().for_each(|b| assert!(dot(a, b).abs() < 450.0));
            assert!(dot(&a[1..], &a[..len - 1]).abs() < 450.0);
        }
        assert_eq!(draw(3, 2), draw(3, 2));
    }

    #[test]
    fn sums_are_over_the_same_signs() {
        let (of, mut signs, mut sum) = (Signs::new(7, 1), vec![0.0f32; 150], vec![1.0; 150]);
        of.fill(&mut signs);
        of.add_to(0.25, &mut sum);
        signs.iter().zip(&sum).for_each(|(sign, sum)| assert_eq!(*sum, 1.0 + 0.25 * f64::from(*sign)));
        let direct: f64 = signs.iter().enumerate().map(|(i, sign)| f64::from(*sign) * i as f64).sum();
        assert_eq!(of.dot(|i| i as f64, 150), direct);
        let (other, mut others) = (Signs::new(8, 1), vec![0.0f32; 150]);
        other.fill(&mut others);
        let direct: f32 = signs.iter().zip(&others).map(|(a, b)| a * b).sum();
        assert_eq!((of.overlap(other, 150), of.overlap(of, 150)), (direct as i64, 150));
    }
}
