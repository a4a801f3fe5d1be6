//! Trainable sub-sampling on the CPU: one pack an output.
//!
//! Order of operations, for any instruction set: a window's sum is `(x₀₀ + x₀₁) + (x₁₀ + x₁₁)`; gradients of the
//! parameters add groups of samples in order, within one rows in order, by `LaneSums`, then the 16 lanes by its tree.

use super::{Subsample2d, Subsample2dSize};
use crate::cpu::{Cpu, assert_len, groups};
use crate::simd::sums::{LaneSums, Terms};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl Subsample2d for Cpu {
    fn subsample2d_forward(&mut self, size: &Subsample2dSize, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        assert_len("weight", weight.len(), size.channels);
        assert_len("bias", bias.len(), size.channels);
        let x = self.layout.whole("x", x, size.samples, size.in_features());
        let mut y = self.layout.whole_out("y", y, size.samples, size.out_features());
        self.isa.run(Forward { size, x: &x, weight, bias, y: &mut y });
    }

    fn subsample2d_backward_input(&mut self, size: &Subsample2dSize, weight: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        assert_len("weight", weight.len(), size.channels);
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.out_features());
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.in_features());
        self.isa.run(BackwardInput { size, weight, d_y: &d_y, d_x: &mut d_x });
    }

    fn subsample2d_backward_weight(
        &mut self,
        size: &Subsample2dSize,
        x: &[f32],
        d_y: &[f32],
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        assert_len("d_weight", d_weight.len(), size.channels);
        assert_len("d_bias", d_bias.len(), size.channels);
        let x = self.layout.whole("x", x, size.samples, size.in_features());
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.out_features());
        self.isa.run(BackwardWeight { size, x: &x, d_y: &d_y, d_weight, d_bias });
    }
}

/// A row of windows: the two rows of inputs that they cover, and where the row of outputs lies.
struct Row {
    channel: usize,
    upper: usize,
    output: usize,
}

/// All rows of windows, plane by plane.
fn rows(size: &Subsample2dSize) -> impl Iterator<Item = Row> + use<> {
    let Subsample2dSize { samples, channels, height, width } = *size;
    let (out_height, out_width) = (size.out_height(), size.out_width());
    (0..groups(samples) * channels).flat_map(move |plane| {
        (0..out_height).map(move |i| Row {
            channel: plane % channels,
            upper: (plane * height + 2 * i) * width,
            output: (plane * out_height + i) * out_width,
        })
    })
}

/// The sums of the windows of a row of windows.
struct Windows<'a> {
    upper: &'a [Pack],
    lower: &'a [Pack],
}

impl Windows<'_> {
    fn new<'a>(size: &Subsample2dSize, x: &'a [Pack], row: &Row) -> Windows<'a> {
        let used = 2 * size.out_width();
        Windows { upper: &x[row.upper..][..used], lower: &x[row.upper + size.width..][..used] }
    }

    #[inline(always)]
    fn sum<S: Simd>(&self, s: S, j: usize) -> S::Vector {
        let [upper, lower] = [self.upper, self.lower].map(|row| &row[2 * j..2 * j + 2]);
        s.add(s.add(s.load(&upper[0]), s.load(&upper[1])), s.add(s.load(&lower[0]), s.load(&lower[1])))
    }
}

struct Forward<'a> {
    size: &'a Subsample2dSize,
    x: &'a [Pack],
    weight: &'a [f32],
    bias: &'a [f32],
    y: &'a mut [Pack],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { size, x, weight, bias, y } = self;
        for row in rows(size) {
            let windows = Windows::new(size, x, &row);
            let (weight, bias) = (s.splat(weight[row.channel]), s.splat(bias[row.channel]));
            for (j, y) in y[row.output..][..size.out_width()].iter_mut().enumerate() {
                s.store(y, s.fma(windows.sum(s, j), weight, bias));
            }
        }
    }
}

struct BackwardInput<'a> {
    size: &'a Subsample2dSize,
    weight: &'a [f32],
    d_y: &'a [Pack],
    d_x: &'a mut [Pack],
}

impl Kernel for BackwardInput<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardInput { size, weight, d_y, d_x } = self;
        if !size.height.is_multiple_of(2) || !size.width.is_multiple_of(2) {
            d_x.fill([0.0; WIDTH]);
        }
        for row in rows(size) {
            let weight = s.splat(weight[row.channel]);
            for (j, d_y) in d_y[row.output..][..size.out_width()].iter().enumerate() {
                let d = s.mul(weight, s.load(d_y));
                for start in [row.upper + 2 * j, row.upper + size.width + 2 * j] {
                    s.store(&mut d_x[start], d);
                    s.store(&mut d_x[start + 1], d);
                }
            }
        }
    }
}

struct BackwardWeight<'a> {
    size: &'a Subsample2dSize,
    x: &'a [Pack],
    d_y: &'a [Pack],
    d_weight: &'a mut [f32],
    d_bias: &'a mut [f32],
}

impl Kernel for BackwardWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardWeight { size, x, d_y, d_weight, d_bias } = self;
        for channel in 0..size.channels {
            let mut sums = LaneSums::<2>::new();
            for row in rows(size).filter(|row| row.channel == channel) {
                let d_y = &d_y[row.output..][..size.out_width()];
                sums.add(s, d_y.len(), &mut Products { windows: Windows::new(size, x, &row), d_y });
            }
            [d_bias[channel], d_weight[channel]] = sums.total().map(|sum| sum as f32);
        }
    }
}

/// The sums of `d_y` and of `d_y` times its window's sum.
struct Products<'a> {
    windows: Windows<'a>,
    d_y: &'a [Pack],
}

impl<S: Simd> Terms<S, 2> for Products<'_> {
    #[inline(always)]
    fn at(&mut self, s: S, i: usize) -> [S::Vector; 2] {
        let d_y = s.load(&self.d_y[i]);
        [d_y, s.mul(d_y, self.windows.sum(s, i))]
    }
}
