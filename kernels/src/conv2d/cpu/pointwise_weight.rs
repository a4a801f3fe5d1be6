//! Gradient of the weight of a 1×1 convolution without padding, with 16 channels in in the lanes.

use super::channel_weight::channels_to_lanes;
use super::grid::Grid;
use super::outer::{Rows, add_outer};
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// Packs of input and gradient that go at once: they stay in the second-level cache.
const PACKS_AT_ONCE: usize = 8192;

pub(super) struct PointwiseWeight<'a> {
    pub size: &'a Conv2dSize,
    pub x: &'a [Pack],
    pub d_y: &'a [Pack],
    pub d_weight: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for PointwiseWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let PointwiseWeight { size, x, d_y, d_weight, scratch } = self;
        let (dense, strided) = (Grid::dense(size), Grid::strided(size));
        let (terms, rows) = (size.in_channels, size.out_channels);
        let lanes = terms.div_ceil(WIDTH);
        let all = dense.columns();
        let piece = (PACKS_AT_ONCE / (terms + rows) / 8 * 8).clamp(8, 64).min(all);
        let paired = |packs| if dense.paired { packs } else { 0 };
        let source = scratch.input.packs(paired(piece * terms));
        let transposed = scratch.products.packs(piece * lanes * WIDTH);
        let gradient = scratch.gradient.packs(paired(piece * rows));
        let sums = scratch.sums.packs(rows * lanes);
        sums.fill([0.0; WIDTH]);
        for (x, d_y) in x.chunks_exact(terms * strided.plane).zip(d_y.chunks_exact(rows * dense.plane)) {
            for first in (0..all).step_by(piece) {
                let columns = piece.min(all - first);
                // Full packs are read where they are.
                let (x, between) = match strided.paired {
                    true => (gathered(s, strided, x, (first, columns), source), columns),
                    false => (x, strided.plane),
                };
                for (block, x) in x.chunks(WIDTH * between).enumerate() {
                    for column in 0..columns {
                        let position = if strided.paired { column } else { strided.position(first + column) };
                        let to = &mut transposed[column * WIDTH * lanes + block..];
                        channels_to_lanes(s, &x[position..], between, to, lanes);
                    }
                }
                let (d_y, between) = match dense.paired {
                    true => (gathered(s, dense, d_y, (first, columns), gradient), columns),
                    false => (&d_y[first..], dense.plane),
                };
                let numbers = d_y.as_flattened();
                let d = Rows { numbers, stride: between * WIDTH, rows, terms: columns * WIDTH };
                add_outer(s, d, transposed, lanes, sums);
            }
        }
        for (sums, d_weight) in sums.chunks_exact(lanes).zip(d_weight.chunks_exact_mut(terms)) {
            d_weight.copy_from_slice(&sums.as_flattened()[..terms]);
        }
    }
}

/// Columns of all planes: `[planes][columns]`.
#[inline(always)]
fn gathered<'a, S: Simd>(
    s: S,
    grid: Grid,
    planes: &[Pack],
    (first, columns): (usize, usize),
    to: &'a mut [Pack],
) -> &'a [Pack] {
    let to = &mut to[..planes.len() / grid.plane * columns];
    grid.gather(s, planes, first, columns, to);
    to
}
