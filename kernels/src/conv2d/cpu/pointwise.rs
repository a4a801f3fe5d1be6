//! 1×1 convolution without padding: a product of matrices. Pixels that a stride skips are not computed with.

use super::grid::Grid;
use super::panels::PanelSize;
use super::product::{Matrix, Target, product};
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// Packs of the source that go at once: they stay in the second-level cache while all results use them.
const PACKS_AT_ONCE: usize = 6144;

pub(super) struct Pointwise<'a> {
    pub size: &'a Conv2dSize,
    /// Whether `x` is the output's gradient and `y` the input's.
    pub backward: bool,
    pub x: &'a [Pack],
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [Pack],
    pub accumulation: Accumulation,
    pub scratch: &'a mut Scratch,
}

impl Kernel for Pointwise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pointwise { size, backward, x, weight, bias, y, accumulation, scratch } = self;
        let (dense, strided) = (Grid::dense(size), Grid::strided(size));
        let (from, to, terms, results) = match backward {
            false => (strided, dense, size.in_channels, size.out_channels),
            true => (dense, strided, size.out_channels, size.in_channels),
        };
        let panel_size = PanelSize { results, terms, taps: 1, transposed: backward };
        let panels = scratch.weights.packs(panel_size.panels() * terms);
        for (index, panel) in panels.chunks_exact_mut(terms).enumerate() {
            panel_size.pack(s, weight, index, 0..terms, panel);
        }
        let scattered = to.stride > 1 || to.paired;
        if to.stride > 1 && accumulation == Accumulation::Overwrite {
            y.fill([0.0; WIDTH]);
        }
        let all = dense.columns();
        let pieces = all.div_ceil((PACKS_AT_ONCE / terms).clamp(6, 48));
        let piece = all.div_ceil(pieces).next_multiple_of(3);
        let source = scratch.input.packs(piece * terms);
        let spread = scratch.products.packs(if scattered { piece * results } else { 0 });
        for (x, y) in x.chunks_exact(terms * from.plane).zip(y.chunks_exact_mut(results * to.plane)) {
            for first in (0..all).step_by(piece) {
                let columns = piece.min(all - first);
                from.gather(s, x, first, columns, source);
                let x = Matrix { packs: &source[..terms * columns], stride: columns, rows: terms, columns };
                if scattered {
                    let packs = &mut spread[..results * columns];
                    let overwrite = Accumulation::Overwrite;
                    let mut target =
                        Target { packs, stride: columns, rows: results, start: bias, accumulation: overwrite };
                    product(s, panels, x, &mut target);
                    to.scatter(s, target.packs, (first, columns), y, accumulation);
                } else {
                    let packs = &mut y[first..];
                    let mut target = Target { packs, stride: to.plane, rows: results, start: bias, accumulation };
                    product(s, panels, x, &mut target);
                }
            }
        }
    }
}
