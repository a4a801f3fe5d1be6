//! 1×1 convolution without padding: a product of matrices. Pixels that a stride skips are not computed with.

use super::Lanes;
use super::grid::Grid;
use super::panels::PanelSize;
use super::product::{Matrix, Target, product};
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cpu::Scratch;
use crate::simd::{Kernel, Simd, WIDTH};

/// Packs of the source that go at once: they stay in the second-level cache while all results use them.
const PACKS_AT_ONCE: usize = 6144;

pub(super) struct Pointwise<'a> {
    pub size: &'a Conv2dSize,
    pub lanes: Lanes,
    /// Whether `x` is the output's gradient and `y` the input's.
    pub backward: bool,
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [f32],
    pub accumulation: Accumulation,
    pub scratch: &'a mut Scratch,
}

impl Kernel for Pointwise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pointwise { size, lanes, backward, x, weight, bias, y, accumulation, scratch } = self;
        let (dense, strided) = (Grid::dense(size, lanes), Grid::strided(size, lanes));
        let (from, to, terms, results) = match backward {
            false => (strided, dense, size.in_channels, size.out_channels),
            true => (dense, strided, size.out_channels, size.in_channels),
        };
        let panel_size = PanelSize { results, terms, taps: 1, transposed: backward };
        let panels = scratch.weights.packs(panel_size.panels() * terms);
        for (index, panel) in panels.chunks_exact_mut(terms).enumerate() {
            panel_size.pack(s, weight, index, 0..terms, panel);
        }
        let scattered = !to.is_matrix();
        if to.stride > 1 && accumulation == Accumulation::Overwrite {
            y.fill(0.0);
        }
        let all = dense.columns();
        let pieces = all.div_ceil((PACKS_AT_ONCE / terms).clamp(6, 48));
        let piece = all.div_ceil(pieces).next_multiple_of(3);
        let source = scratch.input.packs((piece | 1) * terms);
        let spread = scratch.products.packs(if scattered { piece * results } else { 0 });
        for (x, y) in x.chunks_exact(terms * from.numbers()).zip(y.chunks_exact_mut(results * to.numbers())) {
            for first in (0..all).step_by(piece) {
                let columns = piece.min(all - first);
                // An odd number of packs from row to row: a column's packs lie in all sets of the first-level cache.
                let stride = columns | 1;
                from.gather(x, (first, columns), source, stride);
                let x = Matrix { packs: &source[..terms * stride], stride, rows: terms, columns };
                if scattered {
                    let packs = &mut spread[..results * columns];
                    let overwrite = Accumulation::Overwrite;
                    let mut target =
                        Target { packs, stride: columns, rows: results, start: bias, accumulation: overwrite };
                    product(s, panels, x, &mut target);
                    to.scatter(target.packs, (first, columns), y, accumulation);
                } else {
                    let (packs, stride) = (&mut y.as_chunks_mut().0[first..], to.numbers() / WIDTH);
                    let mut target = Target { packs, stride, rows: results, start: bias, accumulation };
                    product(s, panels, x, &mut target);
                }
            }
        }
    }
}
