//! The mean over a grid of equal cells, by `LaneSums`: a cell row by row, or the plane in one run where it is one cell.

use crate::pool2d::AdaptivePool2dSize;
use crate::simd::sums::{LaneSums, Values, lanes_below};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl AdaptivePool2dSize {
    fn places_in_cell(&self) -> usize {
        (self.height / self.out_height) * (self.width / self.out_width)
    }
}

pub(super) struct Forward<'a> {
    pub size: &'a AdaptivePool2dSize,
    pub x: &'a [Pack],
    pub y: &'a mut [Pack],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { size, x, y } = self;
        let mask = lanes_below(s, WIDTH);
        let count = size.places_in_cell() as f64;
        let (out_width, rows) = (size.out_width, size.height / size.out_height);
        let columns = size.width / out_width;
        for (row_of_cells, y) in y.chunks_exact_mut(out_width).enumerate() {
            let x = &x[row_of_cells * rows * size.width..][..rows * size.width];
            for (j, y) in y.iter_mut().enumerate() {
                let mut sum = LaneSums::<1>::new();
                if out_width == 1 {
                    sum.add(s, x.len(), &mut Values { x, mask });
                } else {
                    for row in x.chunks_exact(size.width) {
                        sum.add(s, columns, &mut Values { x: &row[j * columns..], mask });
                    }
                }
                *y = sum.0[0].map(|sum| (sum / count) as f32);
            }
        }
    }
}

pub(super) struct Backward<'a> {
    pub size: &'a AdaptivePool2dSize,
    pub d_y: &'a [Pack],
    pub d_x: &'a mut [Pack],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward { size, d_y, d_x } = self;
        let count = s.splat(size.places_in_cell() as f32);
        let (rows, columns) = (size.height / size.out_height, size.width / size.out_width);
        for (row, d_x) in d_x.chunks_exact_mut(size.width).enumerate() {
            let d_y = &d_y[row / rows * size.out_width..][..size.out_width];
            for (d_x, d_y) in d_x.chunks_exact_mut(columns).zip(d_y) {
                let d = s.div(s.load(d_y), count);
                for d_x in d_x {
                    s.store(d_x, d);
                }
            }
        }
    }
}
