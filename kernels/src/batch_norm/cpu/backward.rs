//! Gradients: two sums a channel, then the gradient of the input as a combination of `d_y`, `x` and a constant.

use crate::batch_norm::BatchNormSize;
use crate::cpu::{groups, samples_in_group};
use crate::simd::sums::{LaneSums, Terms, lanes_below};
use crate::simd::{Kernel, Pack, Simd};

pub(super) struct Backward<'a> {
    pub size: &'a BatchNormSize,
    pub x: &'a [Pack],
    /// The output, if there is a relu.
    pub y: Option<&'a [Pack]>,
    pub weight: &'a [f32],
    pub moments: &'a [f32],
    pub d_y: &'a mut [Pack],
    pub d_x: &'a mut [Pack],
    pub d_weight: &'a mut [f32],
    pub d_bias: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    /// `d_x = a · ((d_y − b) − c · (x − mean))` with `a = weight · inverse`, `b = d_bias / n` and
    /// `c = inverse · d_weight / n`, computed in f64 and then rounded to f32.
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let size = self.size;
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
            let (a, b, minus_c) = (s.splat(a), s.splat(b), s.splat(-c));
            for group in 0..groups(size.samples) {
                let mask = lanes_below(s, samples_in_group(size.samples, group));
                let run = size.run(group, channel);
                let (x, d_y) = (&self.x[run.clone()], &self.d_y[run.clone()]);
                for ((d_x, d_y), x) in self.d_x[run].iter_mut().zip(d_y).zip(x) {
                    let d = s.fma(minus_c, s.sub(s.load(x), mean), s.sub(s.load(d_y), b));
                    s.store(d_x, s.keep(mask, s.mul(a, d)));
                }
            }
        }
    }
}

impl Backward<'_> {
    /// `Σ d_y` and `Σ d_y · (x − mean)`, with `d_y` masked on the way.
    #[inline(always)]
    fn sums<S: Simd>(&mut self, s: S, channel: usize, mean: S::Vector) -> [f64; 2] {
        let size = self.size;
        let mut sums = LaneSums::<2>::new();
        for group in 0..groups(size.samples) {
            let run = size.run(group, channel);
            let (x, d_y) = (&self.x[run.clone()], &mut self.d_y[run.clone()]);
            match self.y {
                Some(y) => sums.add(s, size.plane, &mut Masked::<S> { x, y: &y[run], d_y, mean }),
                None => sums.add(s, size.plane, &mut Plain::<S> { x, d_y, mean }),
            }
        }
        sums.total()
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
