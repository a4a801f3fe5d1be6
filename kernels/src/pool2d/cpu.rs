//! Poolings on the CPU: one pack an output.

use super::{AdaptivePool2dSize, Pool2d, Pool2dSize};
use crate::cpu::{Cpu, activation_len, assert_len, packs, packs_mut};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl Pool2dSize {
    fn in_features(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn out_features(&self) -> usize {
        self.channels * self.out_height() * self.out_width()
    }

    #[track_caller]
    fn check(&self) {
        assert!((1..=16).contains(&self.window), "window {} is not between 1 and 16", self.window);
    }
}

impl Pool2d for Cpu {
    fn max_pool2d_forward(&mut self, size: &Pool2dSize, x: &[f32], y: &mut [f32], choice: &mut [u8]) {
        size.check();
        assert_len("choice", choice.len(), activation_len(size.samples, size.out_features()));
        let x = packs("x", x, size.samples, size.in_features());
        let y = packs_mut("y", y, size.samples, size.out_features());
        self.isa.run(MaxForward { size, x, y, choice: choice.as_chunks_mut().0 });
    }

    fn max_pool2d_backward(&mut self, size: &Pool2dSize, d_y: &[f32], choice: &[u8], d_x: &mut [f32]) {
        size.check();
        assert_len("choice", choice.len(), activation_len(size.samples, size.out_features()));
        let d_y = packs("d_y", d_y, size.samples, size.out_features());
        let d_x = packs_mut("d_x", d_x, size.samples, size.in_features());
        self.isa.run(MaxBackward { size, d_y, choice: choice.as_chunks().0, d_x });
    }

    fn average_pool2d_forward(&mut self, size: &Pool2dSize, x: &[f32], y: &mut [f32]) {
        size.check();
        let x = packs("x", x, size.samples, size.in_features());
        let y = packs_mut("y", y, size.samples, size.out_features());
        self.isa.run(AverageForward { size, x, y });
    }

    fn average_pool2d_backward(&mut self, size: &Pool2dSize, d_y: &[f32], d_x: &mut [f32]) {
        size.check();
        let d_y = packs("d_y", d_y, size.samples, size.out_features());
        let d_x = packs_mut("d_x", d_x, size.samples, size.in_features());
        self.isa.run(AverageBackward { size, d_y, d_x });
    }

    fn adaptive_average_pool2d_forward(&mut self, _: &AdaptivePool2dSize, _: &[f32], _: &mut [f32]) {
        todo!()
    }

    fn adaptive_average_pool2d_backward(&mut self, _: &AdaptivePool2dSize, _: &[f32], _: &mut [f32]) {
        todo!()
    }
}

/// For each window: the index of its output and of its first input.
#[inline(always)]
fn windows(size: &Pool2dSize, planes: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let Pool2dSize { height, width, window, .. } = *size;
    let (out_height, out_width) = (size.out_height(), size.out_width());
    (0..planes * out_height).flat_map(move |row| {
        let corner = (row / out_height * height + row % out_height * window) * width;
        (0..out_width).map(move |j| (row * out_width + j, corner + j * window))
    })
}

/// Planes (group × channel) of an activation of `features` values a sample.
fn planes(packs: &[Pack], size: &Pool2dSize) -> usize {
    packs.len().checked_div(size.height * size.width).unwrap_or(0)
}

/// The largest value so far and its place: the first of equal ones; a NaN beats a number and nothing beats a NaN.
pub(crate) struct Maximum<S: Simd> {
    pub value: S::Vector,
    pub place: S::Vector,
}

impl<S: Simd> Maximum<S> {
    #[inline(always)]
    pub(crate) fn new(s: S, first: S::Vector) -> Self {
        Maximum { value: first, place: s.splat(0.0) }
    }

    #[inline(always)]
    pub(crate) fn offer(&mut self, s: S, candidate: S::Vector, place: usize) {
        let wins = s.both(s.greater_or_unordered(candidate, self.value), s.equal(self.value, self.value));
        self.value = s.select(wins, candidate, self.value);
        self.place = s.select(wins, s.splat(place as f32), self.place);
    }
}

struct MaxForward<'a> {
    size: &'a Pool2dSize,
    x: &'a [Pack],
    y: &'a mut [Pack],
    choice: &'a mut [[u8; WIDTH]],
}

impl Kernel for MaxForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let MaxForward { size, x, y, choice } = self;
        for (output, corner) in windows(size, planes(x, size)) {
            let mut maximum = Maximum::new(s, s.load(&x[corner]));
            for u in 0..size.window {
                for v in 0..size.window {
                    let candidate = s.load(&x[corner + u * size.width + v]);
                    maximum.offer(s, candidate, u * size.window + v);
                }
            }
            s.store(&mut y[output], maximum.value);
            s.store_bytes(&mut choice[output], maximum.place);
        }
    }
}

struct MaxBackward<'a> {
    size: &'a Pool2dSize,
    d_y: &'a [Pack],
    choice: &'a [[u8; WIDTH]],
    d_x: &'a mut [Pack],
}

impl Kernel for MaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let MaxBackward { size, d_y, choice, d_x } = self;
        zero_outside(size, d_x);
        for (output, corner) in windows(size, planes(d_x, size)) {
            let d = s.load(&d_y[output]);
            let place = s.load_bytes(&choice[output]);
            for u in 0..size.window {
                for v in 0..size.window {
                    let chosen = s.equal(place, s.splat((u * size.window + v) as f32));
                    s.store(&mut d_x[corner + u * size.width + v], s.keep(chosen, d));
                }
            }
        }
    }
}

struct AverageForward<'a> {
    size: &'a Pool2dSize,
    x: &'a [Pack],
    y: &'a mut [Pack],
}

impl Kernel for AverageForward<'_> {
    type Output = ();

    /// The window's values are added row by row, then divided by K².
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AverageForward { size, x, y } = self;
        let count = s.splat((size.window * size.window) as f32);
        for (output, corner) in windows(size, planes(x, size)) {
            let mut sum = s.splat(0.0);
            for u in 0..size.window {
                for v in 0..size.window {
                    sum = s.add(sum, s.load(&x[corner + u * size.width + v]));
                }
            }
            s.store(&mut y[output], s.div(sum, count));
        }
    }
}

struct AverageBackward<'a> {
    size: &'a Pool2dSize,
    d_y: &'a [Pack],
    d_x: &'a mut [Pack],
}

impl Kernel for AverageBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AverageBackward { size, d_y, d_x } = self;
        let count = s.splat((size.window * size.window) as f32);
        zero_outside(size, d_x);
        for (output, corner) in windows(size, planes(d_x, size)) {
            let d = s.div(s.load(&d_y[output]), count);
            for u in 0..size.window {
                for v in 0..size.window {
                    s.store(&mut d_x[corner + u * size.width + v], d);
                }
            }
        }
    }
}

/// Zeroes `d_x` where some places lie in no window; otherwise every place will be written.
fn zero_outside(size: &Pool2dSize, d_x: &mut [Pack]) {
    if !size.height.is_multiple_of(size.window) || !size.width.is_multiple_of(size.window) {
        d_x.fill([0.0; WIDTH]);
    }
}
