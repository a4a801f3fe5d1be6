//! Errors of convolutions on the sizes of real networks, at places picked from all over the results, against f64.

use std::ops::Range;

use lockstep_kernels::conv2d::{Accumulation, Algorithm, Conv2d, Conv2dSize};
use lockstep_kernels::cpu::Cpu;

use crate::layout::{devices, to_activation, to_rows, unwritten};
use lockstep_selftest::numbers::noise;

/// Results computed in f64.
const PLACES: usize = 150;

/// A convolution, its operands in rows of samples, and how their elements are found.
struct Case {
    size: Conv2dSize,
    x: Vec<f32>,
    w: Vec<f32>,
    d_y: Vec<f32>,
}

impl Case {
    fn new(size: Conv2dSize) -> Case {
        let x = noise(size.samples * size.in_channels * size.height * size.width, 1);
        let d_y = noise(size.samples * size.out_channels * size.out_height() * size.out_width(), 3);
        Case { size, x, w: noise(size.weights(), 2), d_y }
    }

    /// `x[n,c,h,w]`, 0 outside.
    fn x(&self, n: usize, c: usize, h: usize, w: usize) -> f64 {
        let Conv2dSize { in_channels, height, width, padding, .. } = self.size;
        let inside = (padding..height + padding).contains(&h) && (padding..width + padding).contains(&w);
        if !inside {
            return 0.0;
        }
        self.x[((n * in_channels + c) * height + h - padding) * width + w - padding].into()
    }

    fn w(&self, o: usize, c: usize, u: usize, v: usize) -> f64 {
        let Conv2dSize { in_channels, kernel, .. } = self.size;
        self.w[((o * in_channels + c) * kernel + u) * kernel + v].into()
    }

    fn d_y(&self, n: usize, o: usize, i: usize, j: usize) -> f64 {
        let (height, width) = (self.size.out_height(), self.size.out_width());
        self.d_y[((n * self.size.out_channels + o) * height + i) * width + j].into()
    }

    fn y(&self, [n, o, i, j]: [usize; 4]) -> f64 {
        let Conv2dSize { in_channels, kernel, stride, .. } = self.size;
        let terms = places([0..in_channels, 0..kernel, 0..kernel]);
        terms.map(|[c, u, v]| self.x(n, c, i * stride + u, j * stride + v) * self.w(o, c, u, v)).sum()
    }

    fn d_x(&self, [n, c, h, w]: [usize; 4]) -> f64 {
        let Conv2dSize { out_channels, kernel, stride, padding, .. } = self.size;
        let from = |position: usize, tap: usize, end: usize| {
            let at = (position + padding).checked_sub(tap)?;
            (at % stride == 0 && at / stride < end).then_some(at / stride)
        };
        let terms = places([0..out_channels, 0..kernel, 0..kernel]);
        let term = |[o, u, v]: [usize; 3]| {
            let (i, j) = (from(h, u, self.size.out_height())?, from(w, v, self.size.out_width())?);
            Some(self.d_y(n, o, i, j) * self.w(o, c, u, v))
        };
        terms.filter_map(term).sum()
    }

    fn d_w(&self, [o, c, u, v]: [usize; 4]) -> f64 {
        let Conv2dSize { samples, stride, .. } = self.size;
        let terms = places([0..samples, 0..self.size.out_height(), 0..self.size.out_width()]);
        terms.map(|[n, i, j]| self.d_y(n, o, i, j) * self.x(n, c, i * stride + u, j * stride + v)).sum()
    }

    /// Errors of y, d_x and d_w, relative to the largest value at the places.
    fn errors(&self, device: &mut Cpu) -> [f64; 3] {
        let size = &self.size;
        let Conv2dSize { samples, in_channels, out_channels, height, width, kernel, .. } = *size;
        let (in_features, out_features) = (self.x.len() / samples, self.d_y.len() / samples);
        let (x, d_y) =
            (to_activation(device, &self.x, in_features, 0.0), to_activation(device, &self.d_y, out_features, 0.0));
        let mut y = unwritten(device, samples, out_features);
        let mut d_x = unwritten(device, samples, in_features);
        let mut d_w = vec![7.0; self.w.len()];
        device.conv2d_forward(size, &x, &self.w, None, &mut y);
        device.conv2d_backward_input(size, &self.w, &d_y, &mut d_x, Accumulation::Overwrite);
        device.conv2d_backward_weight(size, &x, &d_y, &mut d_w, None);
        let (y, d_x) = (to_rows(device, &y, samples, out_features), to_rows(device, &d_x, samples, in_features));
        let out = [samples, out_channels, size.out_height(), size.out_width()];
        [
            error(&y, out, |place| self.y(place)),
            error(&d_x, [samples, in_channels, height, width], |place| self.d_x(place)),
            error(&d_w, [out_channels, in_channels, kernel, kernel], |place| self.d_w(place)),
        ]
    }
}

fn places(ranges: [Range<usize>; 3]) -> impl Iterator<Item = [usize; 3]> {
    let [first, second, third] = ranges;
    first.flat_map(move |a| {
        let third = third.clone();
        second.clone().flat_map(move |b| third.clone().map(move |c| [a, b, c]))
    })
}

/// The largest difference at [`PLACES`] places that are spread evenly, in an order without a pattern.
fn error(actual: &[f32], shape: [usize; 4], expected: impl Fn([usize; 4]) -> f64) -> f64 {
    assert_eq!(actual.len(), shape.iter().product());
    let (mut largest, mut error) = (1e-30, 0.0);
    for i in 0..PLACES {
        let place = (i as f64 * 0.618_033_988_749_894_9).fract();
        let at = (place * actual.len() as f64) as usize;
        let [_, b, c, d] = shape;
        let expected = expected([at / d / c / b, at / d / c % b, at / d % c, at % d]);
        largest = f64::max(largest, expected.abs());
        error = f64::max(error, (f64::from(actual[at]) - expected).abs());
    }
    error / largest
}

/// # Panics
/// If an error of y, d_x or d_w is above its bound.
#[track_caller]
fn check(size: Conv2dSize, bounds: [f64; 3]) {
    let errors = Case::new(size).errors(&mut devices()[0]);
    println!("{size:?}: {errors:?}");
    assert!(errors.iter().zip(bounds).all(|(e, bound)| *e <= bound), "{size:?}: errors {errors:?} of {bounds:?}");
}

/// (N, C, O, H = W, K, stride, padding)
fn size([samples, in_channels, out_channels, side, kernel, stride, padding]: [usize; 7]) -> Conv2dSize {
    let plain = Conv2dSize { kernel, stride, padding, ..Conv2dSize::PLAIN };
    Conv2dSize { samples, in_channels, out_channels, height: side, width: side, ..plain }
}

/// ResNet-18's and ResNet-20's 3×3 convolutions.
#[test]
fn winograds_errors() {
    for shape in [
        [16, 64, 64, 56, 3, 1, 1],
        [16, 128, 128, 28, 3, 1, 1],
        [16, 256, 256, 14, 3, 1, 1],
        [16, 512, 512, 7, 3, 1, 1],
        [64, 16, 16, 32, 3, 1, 1],
        [64, 64, 64, 8, 3, 1, 1],
    ] {
        check(size(shape), [5e-6, 5e-6, 5e-6]);
    }
}

/// A few units in the last place (6e-8) × √(terms): of 4,608 terms at most for y and d_x, of 50,176 for d_w.
#[test]
fn direct_errors() {
    for shape in [
        [16, 64, 64, 56, 3, 1, 1],
        [16, 512, 512, 7, 3, 1, 1],
        [16, 3, 64, 112, 7, 2, 3],
        [16, 128, 128, 28, 3, 2, 1],
        [16, 256, 64, 28, 1, 1, 0],
        [16, 1024, 256, 14, 1, 2, 0],
        [128, 3, 16, 32, 3, 1, 1],
    ] {
        let size = Conv2dSize { convolution: Algorithm::Direct, ..size(shape) };
        check(size, [1e-6, 1e-6, 1e-6]);
    }
}
