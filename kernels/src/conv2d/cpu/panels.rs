//! Weights in panels of 16 results, the order in which products read them.

use crate::simd::WIDTH;

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

    /// Numbers of one panel.
    pub fn panel(&self) -> usize {
        self.terms * self.taps * WIDTH
    }

    /// Writes panel `panel`: `[terms][taps][16]`, zeros for results that do not exist.
    pub fn pack(&self, weight: &[f32], panel: usize, to: &mut [[f32; WIDTH]]) {
        let PanelSize { results, terms, taps, transposed } = *self;
        let first = panel * WIDTH;
        let here = WIDTH.min(results - first);
        if here < WIDTH {
            to.fill([0.0; WIDTH]);
        }
        if transposed {
            for (weight, to) in weight.chunks_exact(results * taps).zip(to.chunks_exact_mut(taps)) {
                for (r, kernel) in weight[first * taps..].chunks_exact(taps).take(here).enumerate() {
                    to.iter_mut().rev().zip(kernel).for_each(|(to, weight)| to[r] = *weight);
                }
            }
        } else {
            for (r, weight) in weight.chunks_exact(terms * taps).skip(first).take(here).enumerate() {
                to.iter_mut().zip(weight).for_each(|(to, weight)| to[r] = *weight);
            }
        }
    }
}
