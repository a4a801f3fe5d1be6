//! Windows of any stride and padding.
//!
//! Backward passes go from place to place, not from window to window: each gathers from the windows that it lies in, row
//! by row, so that it is written once and the order of additions is that of the windows.

use std::ops::Range;

use super::{Maximum, planes};
use crate::pool2d::Pool2dSize;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// The part of window `i` that lies in an input of `len` rows (or columns), as rows of the window.
fn inside(size: &Pool2dSize, i: usize, len: usize) -> Range<usize> {
    let start = i * size.stride;
    size.padding.saturating_sub(start)..size.window.min(len + size.padding - start)
}

/// The windows, of `windows`, that row (or column) `row` of the input lies in.
fn around(size: &Pool2dSize, row: usize, windows: usize) -> Range<usize> {
    let row = row + size.padding;
    let first = (row + 1).saturating_sub(size.window).div_ceil(size.stride);
    let end = windows.min(row / size.stride + 1);
    first.min(end)..end
}

pub(super) struct MaxForward<'a> {
    pub size: &'a Pool2dSize,
    pub x: &'a [Pack],
    pub y: &'a mut [Pack],
    pub choice: &'a mut [[u8; WIDTH]],
}

impl Kernel for MaxForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let MaxForward { size, x, y, choice } = self;
        let (out_height, out_width) = (size.out_height(), size.out_width());
        for row in 0..planes(x, size.height * size.width) * out_height {
            let (plane, i) = (row / out_height, row % out_height);
            let rows = inside(size, i, size.height);
            for j in 0..out_width {
                let columns = inside(size, j, size.width);
                let mut maximum: Option<Maximum<S>> = None;
                for u in rows.clone() {
                    let x = &x[(plane * size.height + i * size.stride + u - size.padding) * size.width..][..size.width];
                    for v in columns.clone() {
                        let candidate = s.load(&x[j * size.stride + v - size.padding]);
                        let place = u * size.window + v;
                        match &mut maximum {
                            Some(maximum) => maximum.offer(s, candidate, place),
                            None => maximum = Some(Maximum { value: candidate, place: s.splat(place as f32) }),
                        }
                    }
                }
                // A window's padding is at most half of it: it holds a place.
                if let Some(maximum) = maximum {
                    s.store(&mut y[row * out_width + j], maximum.value);
                    s.store_bytes(&mut choice[row * out_width + j], maximum.place);
                }
            }
        }
    }
}

pub(super) struct MaxBackward<'a> {
    pub size: &'a Pool2dSize,
    pub d_y: &'a [Pack],
    pub choice: &'a [[u8; WIDTH]],
    pub d_x: &'a mut [Pack],
}

impl Kernel for MaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let MaxBackward { size, d_y, choice, d_x } = self;
        let (out_height, out_width) = (size.out_height(), size.out_width());
        for (row, d_x) in d_x.chunks_exact_mut(size.width).enumerate() {
            let (plane, i) = (row / size.height, row % size.height);
            let rows = around(size, i, out_height);
            for (j, d_x) in d_x.iter_mut().enumerate() {
                let columns = around(size, j, out_width);
                let mut sum = s.splat(0.0);
                for a in rows.clone() {
                    let u = i + size.padding - a * size.stride;
                    for b in columns.clone() {
                        let v = j + size.padding - b * size.stride;
                        let output = (plane * out_height + a) * out_width + b;
                        let here = s.splat((u * size.window + v) as f32);
                        let chosen = s.equal(s.load_bytes(&choice[output]), here);
                        sum = s.add(sum, s.keep(chosen, s.load(&d_y[output])));
                    }
                }
                s.store(d_x, sum);
            }
        }
    }
}

pub(super) struct AverageForward<'a> {
    pub size: &'a Pool2dSize,
    pub x: &'a [Pack],
    pub y: &'a mut [Pack],
}

impl Kernel for AverageForward<'_> {
    type Output = ();

    /// The window's values are added row by row, then divided by K².
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AverageForward { size, x, y } = self;
        let count = s.splat((size.window * size.window) as f32);
        let (out_height, out_width) = (size.out_height(), size.out_width());
        for row in 0..planes(x, size.height * size.width) * out_height {
            let (plane, i) = (row / out_height, row % out_height);
            let rows = inside(size, i, size.height);
            for j in 0..out_width {
                let columns = inside(size, j, size.width);
                let mut sum = s.splat(0.0);
                for u in rows.clone() {
                    let x = &x[(plane * size.height + i * size.stride + u - size.padding) * size.width..][..size.width];
                    for v in columns.clone() {
                        sum = s.add(sum, s.load(&x[j * size.stride + v - size.padding]));
                    }
                }
                s.store(&mut y[row * out_width + j], s.div(sum, count));
            }
        }
    }
}

pub(super) struct AverageBackward<'a> {
    pub size: &'a Pool2dSize,
    pub d_y: &'a [Pack],
    pub d_x: &'a mut [Pack],
}

impl Kernel for AverageBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AverageBackward { size, d_y, d_x } = self;
        let count = s.splat((size.window * size.window) as f32);
        let (out_height, out_width) = (size.out_height(), size.out_width());
        for (row, d_x) in d_x.chunks_exact_mut(size.width).enumerate() {
            let (plane, i) = (row / size.height, row % size.height);
            let rows = around(size, i, out_height);
            for (j, d_x) in d_x.iter_mut().enumerate() {
                let columns = around(size, j, out_width);
                let mut sum = s.splat(0.0);
                for a in rows.clone() {
                    let d_y = &d_y[(plane * out_height + a) * out_width..][..out_width];
                    for d_y in &d_y[columns.clone()] {
                        sum = s.add(sum, s.load(d_y));
                    }
                }
                s.store(d_x, s.div(sum, count));
            }
        }
    }
}
