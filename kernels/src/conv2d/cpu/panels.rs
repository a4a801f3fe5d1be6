//! Weights in panels of 16 results, the order in which products read them.

use std::ops::Range;

use crate::simd::{Pack, Simd, WIDTH};

/// Sizes of a weight seen as a matrix of results × terms whose elements are kernels of `taps` numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanelSize {
    pub results: usize,
    pub terms: usize,
    pub taps: usize,
    /// Whether the weight is stored (terms, results, taps), and its kernels are used turned around.
    pub transposed: bool,
}

impl PanelSize {
    /// Panels of 16 results.
    pub fn panels(&self) -> usize {
        self.results.div_ceil(WIDTH)
    }

    /// Writes `terms` of panel `panel`: `[terms][taps][16]`, zeros for results that do not exist.
    #[inline(always)]
    pub fn pack<S: Simd>(&self, s: S, weight: &[f32], panel: usize, terms: Range<usize>, to: &mut [Pack]) {
        let PanelSize { results, taps, transposed, .. } = *self;
        let first = panel * WIDTH;
        let here = WIDTH.min(results - first);
        if !transposed {
            let row = self.terms * taps;
            let weight = &weight[first * row + terms.start * taps..];
            return transpose(s, weight, (here, row), &mut to[..terms.len() * taps]);
        }
        let weight = weight.chunks_exact(results * taps).skip(terms.start);
        for (weight, to) in weight.zip(to.chunks_exact_mut(taps)).take(terms.len()) {
            let weight = &weight[first * taps..];
            if taps == 1 {
                to[0] = [0.0; WIDTH];
                to[0][..here].copy_from_slice(&weight[..here]);
            } else {
                transpose(s, weight, (here, taps), to);
                to.reverse();
            }
        }
    }
}

/// The first numbers of up to 16 rows, `between` apart: `[numbers][16]`, zeros for rows that do not exist.
#[inline(always)]
fn transpose<S: Simd>(s: S, from: &[f32], (rows, between): (usize, usize), to: &mut [Pack]) {
    for (index, to) in to.chunks_mut(WIDTH).enumerate() {
        let mut square = [s.splat(0.0); WIDTH];
        for r in 0..WIDTH {
            if r < rows {
                let row = &from[r * between + index * WIDTH..];
                let mut last = [0.0; WIDTH];
                let row = row.first_chunk().unwrap_or_else(|| {
                    last[..row.len()].copy_from_slice(row);
                    &last
                });
                square[r] = s.load(row);
            }
        }
        let square = s.transpose(square);
        for c in 0..WIDTH {
            if let Some(to) = to.get_mut(c) {
                s.store(to, square[c]);
            }
        }
    }
}
