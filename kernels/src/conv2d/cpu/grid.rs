//! Pixels of planes on their way to and from matrices.

use crate::conv2d::{Accumulation, Conv2dSize};
use crate::simd::{Pack, Simd, WIDTH};

/// Pixels that lie in a plane, or every `stride`th row and column of one.
///
/// Up to 8 samples fill half of a pack: then two pixels share a pack of the matrix, which halves the work.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    /// Pixels of a row of the grid, and of the grid.
    width: usize,
    pixels: usize,
    /// Packs of the plane, and of its row.
    pub plane: usize,
    row: usize,
    pub stride: usize,
    pub paired: bool,
}

impl Grid {
    /// The output's pixels.
    pub fn dense(size: &Conv2dSize) -> Grid {
        let (width, pixels) = (size.out_width(), size.out_width() * size.out_height());
        Grid { width, pixels, plane: pixels, row: width, stride: 1, paired: size.samples <= WIDTH / 2 }
    }

    /// The input's pixels that a 1×1 kernel sees.
    pub fn strided(size: &Conv2dSize) -> Grid {
        Grid { plane: size.height * size.width, row: size.width, stride: size.stride, ..Self::dense(size) }
    }

    /// Columns of a matrix that holds the pixels.
    pub fn columns(&self) -> usize {
        if self.paired { self.pixels.div_ceil(2) } else { self.pixels }
    }

    /// Where a pixel lies in its plane.
    pub fn position(&self, pixel: usize) -> usize {
        (pixel / self.width * self.row + pixel % self.width) * self.stride
    }

    /// The pixels of a column.
    fn positions(&self, column: usize) -> (usize, Option<usize>) {
        if !self.paired {
            return (self.position(column), None);
        }
        let second = 2 * column + 1;
        (self.position(2 * column), (second < self.pixels).then(|| self.position(second)))
    }

    /// `columns` columns from `first` on, of all planes: `[planes][columns]`.
    #[inline(always)]
    pub fn gather<S: Simd>(&self, s: S, x: &[Pack], first: usize, columns: usize, to: &mut [Pack]) {
        for (x, to) in x.chunks_exact(self.plane).zip(to.chunks_exact_mut(columns)) {
            if self.stride == 1 && !self.paired {
                to.copy_from_slice(&x[first..][..columns]);
                continue;
            }
            for (to, column) in to.iter_mut().zip(first..) {
                let (position, second) = self.positions(column);
                let pack = s.load(&x[position]);
                let pack = second.map_or(pack, |second| s.join(pack, s.load(&x[second])));
                s.store(to, pack);
            }
        }
    }

    /// Writes `[planes][columns]` to the columns from `first` on.
    #[inline(always)]
    pub fn scatter<S: Simd>(
        &self,
        s: S,
        from: &[Pack],
        (first, columns): (usize, usize),
        y: &mut [Pack],
        accumulation: Accumulation,
    ) {
        for (from, y) in from.chunks_exact(columns).zip(y.chunks_exact_mut(self.plane)) {
            for (from, column) in from.iter().zip(first..) {
                let (position, second) = self.positions(column);
                let pack = s.load(from);
                match second {
                    None => write(s, pack, &mut y[position], accumulation),
                    Some(second) => {
                        write(s, s.lower(pack), &mut y[position], accumulation);
                        write(s, s.upper(pack), &mut y[second], accumulation);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn write<S: Simd>(s: S, pack: S::Vector, to: &mut Pack, accumulation: Accumulation) {
    let sum = match accumulation {
        Accumulation::Overwrite => pack,
        Accumulation::Add => s.add(s.load(to), pack),
    };
    s.store(to, sum);
}
