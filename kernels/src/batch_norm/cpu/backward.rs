//! Gradients: two sums a channel, then the gradient of the input as a combination of `d_y`, `x` and a constant.

use super::{Planes, last_half};
use crate::simd::sums::{LaneSums, Terms};
use crate::simd::{Kernel, Pack, Simd};

pub(super) struct Backward<'a> {
    pub planes: Planes<'a>,
    pub x: &'a [f32],
    /// The output, if there is a relu.
    pub y: Option<&'a [f32]>,
    pub weight: &'a [f32],
    pub moments: &'a [f32],
    pub d_y: &'a mut [f32],
    pub d_x: &'a mut [f32],
    pub d_weight: &'a mut [f32],
    pub d_bias: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    /// `d_x = a · ((d_y − b) − c · (x − mean))` with `a = weight · inverse`, `b = d_bias / n` and
    /// `c = inverse · d_weight / n`, computed in f64 and then rounded to f32.
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (planes, size) = (self.planes, self.planes.size);
        let n = (size.samples * size.plane) as f64;
        let (means, inverses) = self.moments.split_at(size.channels);
        for channel in 0..size.channels {
            let mean = s.splat(means[channel]);
            let inverse = f64::from(inverses[channel]);
            let [d_bias, deviations] = self.sums(s, channel, mean);
            let d_weight = inverse * deviations;
            self.d_bias[channel] = d_bias as f32;
            self.d_weight[channel] = d_weight as f32;
            let factors = [f64::from(self.weight[channel]) * inverse, d_bias / n, inverse * d_weight / n];
            let [a, b, c] = factors.map(|factor| factor as f32);
            for group in 0..planes.groups() {
                let [mask, mask_of_last] = planes.masks(s, group);
                let combination = Combination { mean, a: s.splat(a), b: s.splat(b), minus_c: s.splat(-c), mask };
                let run = planes.run(group, channel);
                let (x, x_rest) = self.x[run.clone()].as_chunks();
                let (d_y, d_y_rest) = self.d_y[run.clone()].as_chunks();
                let (d_x, d_x_rest) = self.d_x[run].as_chunks_mut();
                combination.run(s, x, d_y, d_x);
                let ((x, len), (d_y, _)) = (last_half(x_rest), last_half(d_y_rest));
                let mut last = d_y;
                Combination { mask: mask_of_last, ..combination }.run(s, &x[..len], &d_y, &mut last);
                d_x_rest.copy_from_slice(&last[0][..d_x_rest.len()]);
            }
        }
    }
}

impl Backward<'_> {
    /// `Σ d_y` and `Σ d_y · (x − mean)`, with `d_y` masked on the way.
    #[inline(always)]
    fn sums<S: Simd>(&mut self, s: S, channel: usize, mean: S::Vector) -> [f64; 2] {
        let mut sums = LaneSums::<2>::new();
        for group in 0..self.planes.groups() {
            let run = self.planes.run(group, channel);
            let (x, x_rest) = self.x[run.clone()].as_chunks();
            let (d_y, d_y_rest) = self.d_y[run.clone()].as_chunks_mut();
            let ((last_x, len), (mut last, _)) = (last_half(x_rest), last_half(d_y_rest));
            match self.y {
                Some(y) => {
                    let (y, y_rest) = y[run].as_chunks();
                    sums.add(s, x.len(), &mut Masked::<S> { x, y, d_y, mean });
                    let y = &last_half(y_rest).0;
                    sums.add(s, len, &mut Masked::<S> { x: &last_x, y, d_y: &mut last, mean });
                    d_y_rest.copy_from_slice(&last[0][..d_y_rest.len()]);
                }
                None => {
                    sums.add(s, x.len(), &mut Plain::<S> { x, d_y, mean });
                    sums.add(s, len, &mut Plain::<S> { x: &last_x, d_y: &last, mean });
                }
            }
        }
        sums.total()
    }
}

/// `a · ((d_y − b) − c · (x − mean))` where `mask` is true, else 0.
struct Combination<S: Simd> {
    mean: S::Vector,
    a: S::Vector,
    b: S::Vector,
    minus_c: S::Vector,
    mask: S::Mask,
}

impl<S: Simd> Combination<S> {
    #[inline(always)]
    fn run(&self, s: S, x: &[Pack], d_y: &[Pack], d_x: &mut [Pack]) {
        for ((d_x, d_y), x) in d_x.iter_mut().zip(d_y).zip(x) {
            let d = s.fma(self.minus_c, s.sub(s.load(x), self.mean), s.sub(s.load(d_y), self.b));
            s.store(d_x, s.keep(self.mask, s.mul(self.a, d)));
        }
    }
}

struct Plain<'a, S: Simd> {
    x: &'a [Pack],
    d_y: &'a [Pack],
    mean: S::Vector,
}

impl<S: Simd> Terms<S, 2> for Plain<'_, S> {
    #[inline(always)]
    fn at(&mut self, s: S, i: usize) -> [S::Vector; 2] {
        let d_y = s.load(&self.d_y[i]);
        [d_y, s.mul(d_y, s.sub(s.load(&self.x[i]), self.mean))]
    }
}

struct Masked<'a, S: Simd> {
    x: &'a [Pack],
    y: &'a [Pack],
    d_y: &'a mut [Pack],
    mean: S::Vector,
}

impl<S: Simd> Terms<S, 2> for Masked<'_, S> {
    #[inline(always)]
    fn at(&mut self, s: S, i: usize) -> [S::Vector; 2] {
        let d_y = s.keep(s.greater(s.load(&self.y[i]), s.splat(0.0)), s.load(&self.d_y[i]));
        s.store(&mut self.d_y[i], d_y);
        [d_y, s.mul(d_y, s.sub(s.load(&self.x[i]), self.mean))]
    }
}
