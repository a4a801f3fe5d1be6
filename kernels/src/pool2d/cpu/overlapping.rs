//! Windows of any stride and padding.
//!
//! Backward passes go from place to place, not from window to window: each gathers from the windows that it lies in,
//! row by row, so that it is written once and the order of additions is that of the windows.

use std::ops::Range;

use super::{Maximum, planes};
use crate::pool2d::Pool2dSize;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// The part of window `i` that lies in an input of `len` rows (or columns), as rows of the window.
fn inside(size: &Pool2dSize, i: usize, len: usize) -> Range<usize> {
    let start = i * size.stride;
    size.padding.saturating_sub(start)..size.window.min(len + size.padding - start)
}

/// A window of a plane.
struct Window {
    /// Its first place, in the activation.
    first: usize,
    /// Its rows that lie in the input.
    rows: Range<usize>,
    /// Its columns that lie in the input.
    columns: Range<usize>,
}

impl Window {
    /// The window's width if all of it lies in the input.
    #[inline(always)]
    fn whole(&self, size: &Pool2dSize) -> Option<usize> {
        (self.rows.len() == size.window && self.columns.len() == size.window).then_some(size.window)
    }
}

/// All windows and the index of each one's output.
#[inline(always)]
fn windows(size: &Pool2dSize, planes: usize) -> impl Iterator<Item = (usize, Window)> {
    let (out_height, out_width) = (size.out_height(), size.out_width());
    (0..planes * out_height).flat_map(move |row| {
        let (plane, i) = (row / out_height, row % out_height);
        let rows = inside(size, i, size.height);
        let start = (plane * size.height + i * size.stride + rows.start - size.padding) * size.width;
        (0..out_width).map(move |j| {
            let columns = inside(size, j, size.width);
            let first = start + j * size.stride + columns.start - size.padding;
            (row * out_width + j, Window { first, rows: rows.clone(), columns })
        })
    })
}

/// The rows of a window without padding.
#[inline(always)]
fn whole_rows<'a, const K: usize>(size: &Pool2dSize, x: &'a [Pack], window: &Window) -> [&'a [Pack; K]; K] {
    std::array::from_fn(|u| x[window.first + u * size.width..].first_chunk().expect("the window lies in the input"))
}

/// For each of the `len` rows (or columns) of an input which of `windows` windows it lies in. They are counted on,
/// since divisions took longer than the additions that they are for.
#[inline(always)]
fn around(size: &Pool2dSize, len: usize, windows: usize) -> impl Iterator<Item = Range<usize>> {
    let Pool2dSize { window, stride, padding, .. } = *size;
    let mut range = 0..0;
    (padding..len + padding).map(move |row| {
        while range.start < windows && range.start * stride + window <= row {
            range.start += 1;
        }
        while range.end < windows && range.end * stride <= row {
            range.end += 1;
        }
        range.clone()
    })
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
        for (output, window) in windows(size, planes(x, size.height * size.width)) {
            let maximum = match window.whole(size) {
                Some(3) => whole_maximum::<S, 3>(s, size, x, &window),
                Some(2) => whole_maximum::<S, 2>(s, size, x, &window),
                _ => maximum(s, size, x, &window),
            };
            s.store(&mut y[output], maximum.value);
            s.store_bytes(&mut choice[output], maximum.place);
        }
    }
}

/// The maximum of a window row by row. A window's padding is at most half of it: it holds a place.
#[inline(always)]
fn maximum<S: Simd>(s: S, size: &Pool2dSize, x: &[Pack], window: &Window) -> Maximum<S> {
    let first = window.rows.start * size.window + window.columns.start;
    let mut maximum = Maximum { value: s.load(&x[window.first]), place: s.splat(first as f32) };
    for (row, u) in window.rows.clone().enumerate() {
        let x = &x[window.first + row * size.width..][..window.columns.len()];
        for (x, v) in x.iter().zip(window.columns.clone()) {
            maximum.offer(s, s.load(x), u * size.window + v);
        }
    }
    maximum
}

/// The same of a window without padding: its rows have maxima of their own first, so that they don't wait for each
/// other.
#[inline(always)]
fn whole_maximum<S: Simd, const K: usize>(s: S, size: &Pool2dSize, x: &[Pack], window: &Window) -> Maximum<S> {
    let rows: [&[Pack; K]; K] = whole_rows(size, x, window);
    let mut maxima = [Maximum::new(s, s.load(&rows[0][0])); K];
    for u in 0..K {
        maxima[u] = Maximum { value: s.load(&rows[u][0]), place: s.splat((u * K) as f32) };
        for v in 1..K {
            maxima[u].offer(s, s.load(&rows[u][v]), u * K + v);
        }
    }
    let mut maximum = maxima[0];
    for of_row in &maxima[1..] {
        maximum.offer_maximum(s, *of_row);
    }
    maximum
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
        let Pool2dSize { height, width, window, stride, padding, .. } = *size;
        let (out_height, out_width) = (size.out_height(), size.out_width());
        for (plane, d_x) in d_x.chunks_exact_mut(height * width).enumerate() {
            let rows = d_x.chunks_exact_mut(width).zip(around(size, height, out_height));
            for (i, (d_x, rows)) in rows.enumerate() {
                for (j, (d_x, columns)) in d_x.iter_mut().zip(around(size, width, out_width)).enumerate() {
                    let mut sum = s.splat(0.0);
                    for a in rows.clone() {
                        let u = i + padding - a * stride;
                        for b in columns.clone() {
                            let v = j + padding - b * stride;
                            let output = (plane * out_height + a) * out_width + b;
                            let here = s.splat((u * window + v) as f32);
                            let chosen = s.equal(s.load_bytes(&choice[output]), here);
                            sum = s.add(sum, s.keep(chosen, s.load(&d_y[output])));
                        }
                    }
                    s.store(d_x, sum);
                }
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
        for (output, window) in windows(size, planes(x, size.height * size.width)) {
            let sum = match window.whole(size) {
                Some(3) => whole_sum::<S, 3>(s, size, x, &window),
                Some(2) => whole_sum::<S, 2>(s, size, x, &window),
                _ => sum(s, size, x, &window),
            };
            s.store(&mut y[output], s.div(sum, count));
        }
    }
}

#[inline(always)]
fn sum<S: Simd>(s: S, size: &Pool2dSize, x: &[Pack], window: &Window) -> S::Vector {
    let mut sum = s.splat(0.0);
    for row in 0..window.rows.len() {
        for x in &x[window.first + row * size.width..][..window.columns.len()] {
            sum = s.add(sum, s.load(x));
        }
    }
    sum
}

#[inline(always)]
fn whole_sum<S: Simd, const K: usize>(s: S, size: &Pool2dSize, x: &[Pack], window: &Window) -> S::Vector {
    let rows: [&[Pack; K]; K] = whole_rows(size, x, window);
    let mut sum = s.splat(0.0);
    for u in 0..K {
        for v in 0..K {
            sum = s.add(sum, s.load(&rows[u][v]));
        }
    }
    sum
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
        let Pool2dSize { height, width, window, .. } = *size;
        let count = s.splat((window * window) as f32);
        let (out_height, out_width) = (size.out_height(), size.out_width());
        for (plane, d_x) in d_x.chunks_exact_mut(height * width).enumerate() {
            let d_y = &d_y[plane * out_height * out_width..][..out_height * out_width];
            let rows = d_x.chunks_exact_mut(width).zip(around(size, height, out_height));
            for (d_x, rows) in rows {
                for (d_x, columns) in d_x.iter_mut().zip(around(size, width, out_width)) {
                    let mut sum = s.splat(0.0);
                    for row in rows.clone() {
                        for d_y in &d_y[row * out_width + columns.start..row * out_width + columns.end] {
                            sum = s.add(sum, s.load(d_y));
                        }
                    }
                    s.store(d_x, s.div(sum, count));
                }
            }
        }
    }
}
