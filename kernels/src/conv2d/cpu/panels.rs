//! Weights in panels of 16 results, the order in which products read them.

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

    /// Writes panel `panel`: `[terms][taps][16]`, zeros for results that do not exist.
    #[inline(always)]
    pub fn pack<S: Simd>(&self, s: S, weight: &[f32], panel: usize, to: &mut [Pack]) {
        let PanelSize { results, terms, taps, transposed } = *self;
        let first = panel * WIDTH;
        let here = WIDTH.min(results - first);
        if transposed && taps == 1 {
            for (weight, to) in weight.chunks_exact(results).zip(to) {
                *to = [0.0; WIDTH];
                to[..here].copy_from_slice(&weight[first..][..here]);
            }
        } else if transposed {
            for (weight, to) in weight.chunks_exact(results * taps).zip(to.chunks_exact_mut(taps)) {
                transpose(s, &weight[first * taps..], (here, taps), to);
                to.reverse();
            }
        } else {
            transpose(s, &weight[first * terms * taps..], (here, terms * taps), to);
        }
    }
}

/// `from` (rows, columns), up to 16 rows, as packs of the rows' numbers: `[columns][16]`, zeros for rows that do not exist.
#[inline(always)]
fn transpose<S: Simd>(s: S, from: &[f32], (rows, columns): (usize, usize), to: &mut [Pack]) {
    for (index, to) in to.chunks_mut(WIDTH).enumerate() {
        let mut square = [s.splat(0.0); WIDTH];
        for r in 0..WIDTH {
            if r < rows {
                let row = &from[r * columns + index * WIDTH..];
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
