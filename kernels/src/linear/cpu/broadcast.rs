//! Products of one weight with the 16 samples of a pack: the forward pass and the gradient of the input.

use std::array::from_fn;

use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// `y[n,r] = start[r] + Σ_t x[n,t] · W(r,t)`, terms in order.
///
/// The weight is stored (results, terms), or (terms, results) if `TRANSPOSED`.
pub(super) struct Broadcast<'a, const TRANSPOSED: bool> {
    pub terms: usize,
    pub results: usize,
    pub x: &'a [Pack],
    pub weight: &'a [f32],
    /// Where the sums start: at 0 if absent.
    pub start: Option<&'a [f32]>,
    pub y: &'a mut [Pack],
}

/// Terms whose packs stay in the first-level cache while all results use them: 64 of 4 groups are 16 KiB.
const TERMS_AT_ONCE: usize = 64;

impl<const TRANSPOSED: bool> Kernel for Broadcast<'_, TRANSPOSED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        if self.results == 0 {
            return;
        }
        self.write_start();
        let groups = self.y.len() / self.results;
        let mut group = 0;
        while group < groups {
            let here = match groups - group {
                4.. if S::MANY_REGISTERS => 4,
                2.. if S::MANY_REGISTERS => 2,
                _ => 1,
            };
            let mut first_term = 0;
            while first_term < self.terms {
                let terms = TERMS_AT_ONCE.min(self.terms - first_term);
                match here {
                    4 => self.all_results::<S, 4>(s, group, first_term, terms),
                    2 => self.all_results::<S, 2>(s, group, first_term, terms),
                    _ => self.all_results::<S, 1>(s, group, first_term, terms),
                }
                first_term += terms;
            }
            group += here;
        }
    }
}

impl<const TRANSPOSED: bool> Broadcast<'_, TRANSPOSED> {
    fn write_start(&mut self) {
        match self.start {
            Some(start) => {
                for y in self.y.chunks_exact_mut(self.results) {
                    for (y, start) in y.iter_mut().zip(start) {
                        *y = [*start; WIDTH];
                    }
                }
            }
            None => self.y.fill([0.0; WIDTH]),
        }
    }

    #[inline(always)]
    fn all_results<S: Simd, const G: usize>(&mut self, s: S, group: usize, first_term: usize, terms: usize) {
        let all = self.terms;
        let x: [&[Pack]; G] = from_fn(|g| &self.x[(group + g) * all + first_term..][..terms]);
        let mut result = 0;
        while result < self.results {
            let place = Place { group, result, first_term, terms };
            result += match self.results - result {
                6.. => self.block::<S, G, 6>(s, x, place),
                4.. => self.block::<S, G, 4>(s, x, place),
                2.. => self.block::<S, G, 2>(s, x, place),
                _ => self.block::<S, G, 1>(s, x, place),
            };
        }
    }

    /// `R` results of `G` groups in registers. Returns `R`.
    #[inline(always)]
    fn block<S: Simd, const G: usize, const R: usize>(&mut self, s: S, x: [&[Pack]; G], place: Place) -> usize {
        let Place { group, result, first_term, terms } = place;
        let results = self.results;
        let mut sums = [[s.splat(0.0); G]; R];
        for g in 0..G {
            let y = &self.y[(group + g) * results + result..][..R];
            for r in 0..R {
                sums[r][g] = s.load(&y[r]);
            }
        }
        let x: [&[Pack]; G] = from_fn(|g| &x[g][..terms]);
        if TRANSPOSED {
            let rows = self.weight[first_term * results..].chunks_exact(results);
            for (t, row) in rows.take(terms).enumerate() {
                let weights: &[f32; R] = row[result..].first_chunk().expect("a block lies within its row");
                multiply_add(s, &mut sums, from_fn(|g| &x[g][t]), *weights);
            }
        } else {
            let rows: [&[f32]; R] = from_fn(|r| &self.weight[(result + r) * self.terms + first_term..][..terms]);
            for t in 0..terms {
                multiply_add(s, &mut sums, from_fn(|g| &x[g][t]), from_fn(|r| rows[r][t]));
            }
        }
        for g in 0..G {
            let y = &mut self.y[(group + g) * results + result..][..R];
            for r in 0..R {
                s.store(&mut y[r], sums[r][g]);
            }
        }
        R
    }
}

/// Which part of a product a block computes.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    result: usize,
    first_term: usize,
    terms: usize,
}

#[inline(always)]
fn multiply_add<S: Simd, const G: usize, const R: usize>(
    s: S,
    sums: &mut [[S::Vector; G]; R],
    x: [&Pack; G],
    weights: [f32; R],
) {
    let mut packs = [s.splat(0.0); G];
    for g in 0..G {
        packs[g] = s.load(x[g]);
    }
    for r in 0..R {
        let weight = s.splat(weights[r]);
        for g in 0..G {
            sums[r][g] = s.fma(weight, packs[g], sums[r][g]);
        }
    }
}
