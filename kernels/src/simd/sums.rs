//! Sums over many packs that lose next to nothing: short chains in f32, everything beyond in f64.

use super::{HALF, Pack, Simd, WIDTH};

/// Packs that are added in f32, in two chains of half as many, before the sum goes on in f64: the rounding error of a
/// sum stays near that of its terms, however many there are.
const AT_ONCE: usize = 32;

/// What is summed: term `i` of each of `N` sums. A trait, since a closure can't be made to be inlined.
pub(crate) trait Terms<S: Simd, const N: usize> {
    fn at(&mut self, s: S, i: usize) -> [S::Vector; N];
}

/// `N` sums of packs, each lane by itself.
#[derive(Clone, Copy)]
pub(crate) struct LaneSums<const N: usize>(pub [[f64; WIDTH]; N]);

impl<const N: usize> LaneSums<N> {
    pub(crate) fn new() -> Self {
        LaneSums([[0.0; WIDTH]; N])
    }

    /// Adds the terms 0 to `len`. Order: of 32 neighbours the even ones and the odd ones, both together, in f64 the
    /// next 32.
    #[inline(always)]
    pub(crate) fn add<S: Simd, T: Terms<S, N>>(&mut self, s: S, len: usize, terms: &mut T) {
        let mut start = 0;
        while start < len {
            let end = len.min(start + AT_ONCE);
            let mut chains = [[s.splat(0.0); N]; 2];
            let mut i = start;
            while i < end {
                let even = terms.at(s, i);
                for n in 0..N {
                    chains[0][n] = s.add(chains[0][n], even[n]);
                }
                if i + 1 < end {
                    let odd = terms.at(s, i + 1);
                    for n in 0..N {
                        chains[1][n] = s.add(chains[1][n], odd[n]);
                    }
                }
                i += 2;
            }
            for n in 0..N {
                let mut sum = [0.0; WIDTH];
                s.store(&mut sum, s.add(chains[0][n], chains[1][n]));
                for lane in 0..WIDTH {
                    self.0[n][lane] += f64::from(sum[lane]);
                }
            }
            start = end;
        }
    }

    /// The sums over all lanes, each by one tree: halves 8 apart are added, then 4, 2 and 1 apart.
    #[inline(always)]
    pub(crate) fn total(&self) -> [f64; N] {
        let mut sums = self.0;
        for sums in &mut sums {
            for distance in [8, 4, 2, 1] {
                for i in 0..distance {
                    sums[i] += sums[i + distance];
                }
            }
        }
        sums.map(|sums| sums[0])
    }
}

/// The sum of the packs `x` where `mask` is true.
pub(crate) struct Values<'a, S: Simd> {
    pub x: &'a [Pack],
    pub mask: S::Mask,
}

impl<S: Simd> Terms<S, 1> for Values<'_, S> {
    #[inline(always)]
    fn at(&mut self, s: S, i: usize) -> [S::Vector; 1] {
        [s.keep(self.mask, s.load(&self.x[i]))]
    }
}

/// The sums of `x − shift` and of its square where `mask` is true. With a shift near the mean neither sum cancels.
pub(crate) struct Deviations<'a, S: Simd> {
    pub x: &'a [Pack],
    pub shift: S::Vector,
    pub mask: S::Mask,
}

impl<S: Simd> Terms<S, 2> for Deviations<'_, S> {
    #[inline(always)]
    fn at(&mut self, s: S, i: usize) -> [S::Vector; 2] {
        let deviation = s.keep(self.mask, s.sub(s.load(&self.x[i]), self.shift));
        [deviation, s.mul(deviation, deviation)]
    }
}

/// Mean and biased variance of n numbers from their deviations' sums: `mean = shift + Σd/n`,
/// `variance = (Σd² − (Σd)²/n) / n`.
#[inline(always)]
pub(crate) fn mean_and_variance(shift: f32, deviations: f64, squares: f64, n: f64) -> (f64, f64) {
    let rest = deviations / n;
    let variance = (squares - deviations * rest) / n;
    // A rounding error may leave it just below 0; a NaN stays.
    (f64::from(shift) + rest, if variance < 0.0 { 0.0 } else { variance })
}

/// Which lanes of a group hold samples, of which there are `samples` in it.
#[inline(always)]
pub(crate) fn lanes_below<S: Simd>(s: S, samples: usize) -> S::Mask {
    lanes_of_samples(s, samples, WIDTH)
}

/// The same where `abreast` samples lie abreast.
#[inline(always)]
pub(crate) fn lanes_of_samples<S: Simd>(s: S, samples: usize, abreast: usize) -> S::Mask {
    let mut lanes = [0.0; WIDTH];
    for (i, lane) in lanes.iter_mut().enumerate() {
        // No division by a variable: this runs for every channel of a normalisation.
        *lane = if abreast == HALF { i % HALF } else { i } as f32;
    }
    s.greater(s.splat(samples as f32), s.load(&lanes))
}
