//! Gradient of the weight of a 1×1 convolution without padding, with 16 channels in in the lanes.

use super::Lanes;
use super::channel_weight::channels_to_lanes;
use super::grid::Grid;
use super::outer::{Columns, Rows, add_outer, column_stride};
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// Packs of input and gradient that go at once: they stay in the second-level cache.
const PACKS_AT_ONCE: usize = 8192;

pub(super) struct PointwiseWeight<'a> {
    pub size: &'a Conv2dSize,
    pub lanes: Lanes,
    pub x: &'a [f32],
    pub d_y: &'a [f32],
    pub d_weight: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for PointwiseWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let PointwiseWeight { size, lanes, x, d_y, d_weight, scratch } = self;
        let (dense, strided) = (Grid::dense(size, lanes), Grid::strided(size, lanes));
        let (terms, rows) = (size.in_channels, size.out_channels);
        let lanes = terms.div_ceil(WIDTH);
        let all = dense.columns();
        let piece = (PACKS_AT_ONCE / (terms + rows) / 8 * 8).clamp(8, 64).min(all);
        let source = scratch.input.packs(piece * terms);
        let stride = column_stride(piece * WIDTH);
        let transposed = scratch.products.packs(lanes * stride);
        let gradient = scratch.gradient.packs(piece * rows);
        let sums = scratch.sums.packs(rows * lanes);
        sums.fill([0.0; WIDTH]);
        let groups = x.chunks_exact(terms * strided.numbers()).zip(d_y.chunks_exact(rows * dense.numbers()));
        for (x, d_y) in groups {
            for first in (0..all).step_by(piece) {
                let columns = piece.min(all - first);
                // Planes are copied first: thousands of them, each at a place of its own, are too many streams.
                let x = gathered(strided, x, (first, columns), source);
                for (x, transposed) in x.chunks(WIDTH * columns).zip(transposed.chunks_exact_mut(stride)) {
                    for (column, to) in transposed.chunks_exact_mut(WIDTH).enumerate().take(columns) {
                        channels_to_lanes(s, x[column..].as_flattened(), columns * WIDTH, to);
                    }
                }
                let numbers = gathered(dense, d_y, (first, columns), gradient).as_flattened();
                let d = Rows { numbers, stride: columns * WIDTH, rows, terms: columns * WIDTH };
                add_outer(s, d, Columns { packs: transposed, stride, columns: lanes }, sums);
            }
        }
        for (sums, d_weight) in sums.chunks_exact(lanes).zip(d_weight.chunks_exact_mut(terms)) {
            d_weight.copy_from_slice(&sums.as_flattened()[..terms]);
        }
    }
}

/// Columns of all planes: `[planes][columns]`.
#[inline(always)]
fn gathered<'a>(grid: Grid, planes: &[f32], (first, columns): (usize, usize), to: &'a mut [Pack]) -> &'a [Pack] {
    let to = &mut to[..planes.len() / grid.numbers() * columns];
    grid.gather(planes, (first, columns), to, columns);
    to
}
