//! The mean over a grid of cells, by `LaneSums`: a cell row by row, or the plane in one run where it is one cell.

use crate::pool2d::AdaptivePool2dSize;
use crate::simd::sums::{LaneSums, Values, lanes_below};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

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
        let planes = x.chunks_exact((size.height * size.width).max(1));
        for (x, y) in planes.zip(y.chunks_exact_mut(size.out_height * size.out_width)) {
            for (cell, y) in y.iter_mut().enumerate() {
                let (rows, columns) = size.cell(cell);
                let count = (rows.len() * columns.len()) as f64;
                let mut sum = LaneSums::<1>::new();
                if columns.len() == size.width {
                    let x = &x[rows.start * size.width..rows.end * size.width];
                    sum.add(s, x.len(), &mut Values { x, mask });
                } else {
                    for row in rows {
                        let x = &x[row * size.width..][columns.clone()];
                        sum.add(s, x.len(), &mut Values { x, mask });
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
        d_x.fill([0.0; WIDTH]);
        let planes = d_x.chunks_exact_mut((size.height * size.width).max(1));
        for (d_x, d_y) in planes.zip(d_y.chunks_exact(size.out_height * size.out_width)) {
            for (cell, d_y) in d_y.iter().enumerate() {
                let (rows, columns) = size.cell(cell);
                let d = s.div(s.load(d_y), s.splat((rows.len() * columns.len()) as f32));
                for row in rows {
                    for d_x in &mut d_x[row * size.width..][columns.clone()] {
                        let sum = s.add(s.load(d_x), d);
                        s.store(d_x, sum);
                    }
                }
            }
        }
    }
}
