//! Pixels of planes on their way to and from matrices.

use super::Lanes;
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::simd::{HALF, Pack, WIDTH};

/// Pixels that lie in a plane, or every `stride`th row and column of one.
///
/// Up to 8 samples fill half of a pack: then two pixels share a pack of the matrix, which halves the work.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    /// Pixels of a row of the grid, and of the grid.
    width: usize,
    pixels: usize,
    /// Pixels of the plane, and of its row.
    plane: usize,
    row: usize,
    pub stride: usize,
    /// Samples that lie abreast in the plane.
    lanes: usize,
    paired: bool,
}

impl Grid {
    /// The output's pixels.
    pub fn dense(size: &Conv2dSize, lanes: Lanes) -> Grid {
        let (width, pixels) = (size.out_width(), size.out_width() * size.out_height());
        let paired = size.samples <= HALF;
        Grid { width, pixels, plane: pixels, row: width, stride: 1, lanes: lanes.outside, paired }
    }

    /// The input's pixels that a 1×1 kernel sees.
    pub fn strided(size: &Conv2dSize, lanes: Lanes) -> Grid {
        let (plane, row, stride) = (size.height * size.width, size.width, size.stride);
        Grid { plane, row, stride, lanes: lanes.inside, ..Self::dense(size, lanes) }
    }

    /// Columns of a matrix that holds the pixels.
    pub fn columns(&self) -> usize {
        if self.paired { self.pixels.div_ceil(2) } else { self.pixels }
    }

    /// Numbers of a plane.
    pub fn numbers(&self) -> usize {
        self.plane * self.lanes
    }

    /// Whether columns lie one behind the other as they are, but for the half of a pack that may be left at the end.
    fn is_contiguous(&self) -> bool {
        self.stride == 1 && (!self.paired || self.lanes == HALF)
    }

    /// Whether planes are rows of a matrix as they are.
    pub fn is_matrix(&self) -> bool {
        self.is_contiguous() && self.numbers().is_multiple_of(WIDTH)
    }

    /// Where a pixel's numbers begin in its plane.
    fn position(&self, pixel: usize) -> usize {
        (pixel / self.width * self.row + pixel % self.width) * self.stride * self.lanes
    }

    /// `columns` columns from `first` on, of all planes: `[planes][columns]`, with `stride` packs from plane to plane.
    /// Zeros where a pack has one pixel.
    #[inline(always)]
    pub fn gather(&self, x: &[f32], (first, columns): (usize, usize), to: &mut [Pack], stride: usize) {
        for (x, to) in x.chunks_exact(self.numbers()).zip(to.chunks_exact_mut(stride)) {
            let to = &mut to[..columns];
            if self.is_contiguous() {
                let (x, to) = (&x[first * WIDTH..], to.as_flattened_mut());
                let there = to.len().min(x.len());
                to[..there].copy_from_slice(&x[..there]);
                to[there..].fill(0.0);
            } else if self.paired {
                for (half, pixel) in to.as_flattened_mut().as_chunks_mut::<HALF>().0.iter_mut().zip(2 * first..) {
                    *half = match pixel < self.pixels {
                        true => *at(x, self.position(pixel)),
                        false => [0.0; HALF],
                    };
                }
            } else {
                for (to, pixel) in to.iter_mut().zip(first..) {
                    *to = *at(x, self.position(pixel));
                }
            }
        }
    }

    /// Writes `[planes][columns]` to the columns from `first` on.
    #[inline(always)]
    pub fn scatter(&self, from: &[Pack], (first, columns): (usize, usize), y: &mut [f32], accumulation: Accumulation) {
        for (from, y) in from.chunks_exact(columns).zip(y.chunks_exact_mut(self.numbers())) {
            if self.is_contiguous() {
                let y = &mut y[first * WIDTH..];
                write(&from.as_flattened()[..y.len().min(columns * WIDTH)], y, accumulation);
            } else if self.paired {
                let halves = from.as_flattened().as_chunks::<HALF>().0;
                for (half, pixel) in halves.iter().zip(2 * first..self.pixels) {
                    let y = &mut y[self.position(pixel)..][..self.lanes];
                    write(half, y, accumulation);
                    // Samples that do not exist.
                    y[HALF..].fill(0.0);
                }
            } else {
                for (from, pixel) in from.iter().zip(first..) {
                    write(from, &mut y[self.position(pixel)..], accumulation);
                }
            }
        }
    }
}

/// The `N` numbers from `position` on.
#[inline(always)]
fn at<const N: usize>(x: &[f32], position: usize) -> &[f32; N] {
    x[position..].first_chunk().expect("a pixel lies in its plane")
}

/// Writes or adds numbers to the first ones of `y`.
#[inline(always)]
fn write(from: &[f32], y: &mut [f32], accumulation: Accumulation) {
    match accumulation {
        Accumulation::Overwrite => y[..from.len()].copy_from_slice(from),
        Accumulation::Add => y.iter_mut().zip(from).for_each(|(y, value)| *y += value),
    }
}
