//! Folds on the CPU.

use std::ops::Range;

use super::{BLOCK, Fold};
use crate::cpu::{Cpu, assert_len};
use crate::simd::{Kernel, Simd, WIDTH};

impl Fold for Cpu {
    type Parts = Vec<Range<usize>>;

    fn fold_add(&mut self, sum: &mut [f32], value: &[f32]) {
        assert_len("value", value.len(), sum.len());
        self.isa.run(Add { sum, value });
    }

    fn parts(&mut self, ranges: &[Range<usize>]) -> Self::Parts {
        ranges.to_vec()
    }

    fn squared_norms(&mut self, parts: &Self::Parts, x: &[f32], norms: &mut [f64]) {
        assert_len("norms", norms.len(), parts.len());
        for (norm, part) in norms.iter_mut().zip(parts) {
            *norm = self.isa.run(SquaredNorm { x: &x[part.clone()] });
        }
    }
}

struct Add<'a> {
    sum: &'a mut [f32],
    value: &'a [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (sums, sums_rest) = self.sum.as_chunks_mut();
        let (values, values_rest) = self.value.as_chunks();
        for (sum, value) in sums.iter_mut().zip(values) {
            let total = s.add(s.load(sum), s.load(value));
            s.store(sum, total);
        }
        for (sum, value) in sums_rest.iter_mut().zip(values_rest) {
            *sum += value;
        }
    }
}

struct SquaredNorm<'a> {
    x: &'a [f32],
}

impl Kernel for SquaredNorm<'_> {
    type Output = f64;

    /// Inside a block, number i goes to sum `i mod 16`; the 16 sums are added by halves: 8 apart, then 4, 2 and 1.
    /// A square of an f32 is exact in f64, so a fused multiply-add would give the same bits.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        let mut norm = 0.0;
        for block in self.x.chunks(BLOCK) {
            let mut sums = [0.0f64; WIDTH];
            let (packs, rest) = block.as_chunks::<WIDTH>();
            for pack in packs {
                for i in 0..WIDTH {
                    sums[i] += f64::from(pack[i]) * f64::from(pack[i]);
                }
            }
            for (sum, value) in sums.iter_mut().zip(rest) {
                *sum += f64::from(*value) * f64::from(*value);
            }
            for distance in [8, 4, 2, 1] {
                for i in 0..distance {
                    sums[i] += sums[i + distance];
                }
            }
            norm += sums[0];
        }
        norm
    }
}
