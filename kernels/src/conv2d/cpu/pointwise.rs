//! 1×1 convolution without padding: a product of matrices. Pixels that a stride skips are not computed with.

use super::panels::PanelSize;
use super::product::{Matrix, Target, product};
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// Packs of the source that go at once: they stay in the second-level cache while all results use them.
const PACKS_AT_ONCE: usize = 6144;

/// Pixels that lie in a plane, or every `stride`th row and column of one.
#[derive(Clone, Copy)]
struct Grid {
    /// Pixels of a row of the grid.
    width: usize,
    /// Packs of the plane, and of its row.
    plane: usize,
    row: usize,
    stride: usize,
}

impl Grid {
    fn dense(size: &Conv2dSize) -> Grid {
        let width = size.out_width();
        Grid { width, plane: width * size.out_height(), row: width, stride: 1 }
    }

    fn strided(size: &Conv2dSize) -> Grid {
        Grid { width: size.out_width(), plane: size.height * size.width, row: size.width, stride: size.stride }
    }

    fn position(&self, pixel: usize) -> usize {
        (pixel / self.width * self.row + pixel % self.width) * self.stride
    }
}

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
        let scattered = to.stride > 1;
        if scattered && accumulation == Accumulation::Overwrite {
            y.fill([0.0; WIDTH]);
        }
        let pixels = dense.plane;
        let pieces = pixels.div_ceil((PACKS_AT_ONCE / terms).clamp(6, 48));
        let piece = pixels.div_ceil(pieces).next_multiple_of(3);
        let source = scratch.input.packs(piece * terms);
        let spread = scratch.products.packs(if scattered { piece * results } else { 0 });
        for (x, y) in x.chunks_exact(terms * from.plane).zip(y.chunks_exact_mut(results * to.plane)) {
            for first in (0..pixels).step_by(piece) {
                let columns = piece.min(pixels - first);
                gather(x, from, first, columns, source);
                let x = Matrix { packs: &source[..terms * columns], stride: columns, rows: terms, columns };
                if scattered {
                    let packs = &mut spread[..results * columns];
                    let accumulation = Accumulation::Overwrite;
                    let mut target = Target { packs, stride: columns, rows: results, start: bias, accumulation };
                    product(s, panels, x, &mut target);
                    scatter_add(s, target.packs, to, first, columns, y);
                } else {
                    let packs = &mut y[first..];
                    product(
                        s,
                        panels,
                        x,
                        &mut Target { packs, stride: to.plane, rows: results, start: bias, accumulation },
                    );
                }
            }
        }
    }
}

/// `columns` pixels from `first` on, of all planes: `[planes][columns]`.
#[inline(always)]
fn gather(x: &[Pack], grid: Grid, first: usize, columns: usize, to: &mut [Pack]) {
    for (x, to) in x.chunks_exact(grid.plane).zip(to.chunks_exact_mut(columns)) {
        if grid.stride == 1 {
            to.copy_from_slice(&x[first..][..columns]);
        } else {
            to.iter_mut().zip(first..).for_each(|(to, pixel)| *to = x[grid.position(pixel)]);
        }
    }
}

/// Adds `[planes][columns]` to the pixels from `first` on.
#[inline(always)]
fn scatter_add<S: Simd>(s: S, from: &[Pack], grid: Grid, first: usize, columns: usize, y: &mut [Pack]) {
    for (from, y) in from.chunks_exact(columns).zip(y.chunks_exact_mut(grid.plane)) {
        for (from, pixel) in from.iter().zip(first..) {
            let y = &mut y[grid.position(pixel)];
            let sum = s.add(s.load(y), s.load(from));
            s.store(y, sum);
        }
    }
}
