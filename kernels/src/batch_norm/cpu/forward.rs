//! Moments, and the values that they normalise.

use super::{Planes, last_half};
use crate::simd::sums::{Deviations, LaneSums, Values, mean_and_variance};
use crate::simd::{Kernel, Pack, Simd};

pub(super) struct Input<'a> {
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub residual: Option<&'a [f32]>,
}

pub(super) struct Forward<'a> {
    pub planes: Planes<'a>,
    pub input: Input<'a>,
    pub y: &'a mut [f32],
    pub moments: &'a mut [f32],
    pub statistics: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { planes, input, y, moments, statistics } = self;
        let size = planes.size;
        let (means, deviations) = moments.split_at_mut(size.channels);
        let (mean_sums, variance_sums) = statistics.split_at_mut(size.channels);
        let (samples, n) = (size.samples as f64, (size.samples * size.plane) as f64);
        // One number has no unbiased variance; its biased one is 0.
        let unbiased = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
        for channel in 0..size.channels {
            let (mean, variance) = channel_moments(s, planes, input.x, channel);
            let inverse = 1.0 / (variance + f64::from(size.epsilon)).sqrt();
            means[channel] = mean as f32;
            deviations[channel] = inverse as f32;
            mean_sums[channel] = (samples * mean) as f32;
            variance_sums[channel] = (samples * variance * unbiased) as f32;
            normalise_channel(s, planes, &input, y, channel, Moments { mean, inverse });
        }
    }
}

pub(super) struct Evaluate<'a> {
    pub planes: Planes<'a>,
    pub input: Input<'a>,
    pub running: &'a [f32],
    pub y: &'a mut [f32],
}

impl Kernel for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Evaluate { planes, input, running, y } = self;
        let size = planes.size;
        let (means, variances) = running.split_at(size.channels);
        for channel in 0..size.channels {
            let mean = f64::from(means[channel]);
            let inverse = 1.0 / (f64::from(variances[channel]) + f64::from(size.epsilon)).sqrt();
            normalise_channel(s, planes, &input, y, channel, Moments { mean, inverse });
        }
    }
}

/// Mean and `1 / √(variance + ε)` of a channel.
#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    inverse: f64,
}

/// Mean and biased variance over the samples that are no padding.
#[inline(always)]
fn channel_moments<S: Simd>(s: S, planes: Planes, x: &[f32], channel: usize) -> (f64, f64) {
    let n = (planes.size.samples * planes.size.plane) as f64;
    let mut sum = LaneSums::<1>::new();
    for group in 0..planes.groups() {
        let [mask, mask_of_last] = planes.masks(s, group);
        let (x, rest) = x[planes.run(group, channel)].as_chunks();
        sum.add(s, x.len(), &mut Values { x, mask });
        let (last, len) = last_half(rest);
        sum.add(s, len, &mut Values { x: &last, mask: mask_of_last });
    }
    let shift = (sum.total()[0] / n) as f32;
    let mut sums = LaneSums::<2>::new();
    for group in 0..planes.groups() {
        let [mask, mask_of_last] = planes.masks(s, group);
        let (x, rest) = x[planes.run(group, channel)].as_chunks();
        sums.add(s, x.len(), &mut Deviations { x, shift: s.splat(shift), mask });
        let (last, len) = last_half(rest);
        sums.add(s, len, &mut Deviations { x: &last, shift: s.splat(shift), mask: mask_of_last });
    }
    let [deviations, squares] = sums.total();
    mean_and_variance(shift, deviations, squares, n)
}

#[inline(always)]
fn normalise_channel<S: Simd>(
    s: S,
    planes: Planes,
    input: &Input<'_>,
    y: &mut [f32],
    channel: usize,
    moments: Moments,
) {
    let (weight, bias) = (f64::from(input.weight[channel]), f64::from(input.bias[channel]));
    let scale = weight * moments.inverse;
    // The subtraction of the rounded mean is exact for values near it; what was rounded off goes into the bias.
    let mean = moments.mean as f32;
    let bias = bias + scale * (f64::from(mean) - moments.mean);
    let relu = planes.size.relu;
    for group in 0..planes.groups() {
        let run = planes.run(group, channel);
        let [mask, mask_of_last] = planes.masks(s, group);
        let affine = Affine { mean: s.splat(mean), scale: s.splat(scale as f32), bias: s.splat(bias as f32), mask };
        let (x, x_rest) = input.x[run.clone()].as_chunks();
        let (y, y_rest) = y[run.clone()].as_chunks_mut();
        let residual = input.residual.map(|residual| residual[run].as_chunks());
        affine.run(s, relu, x, residual.map(|(packs, _)| packs), y);
        let (x, len) = last_half(x_rest);
        let residual = residual.map(|(_, rest)| last_half(rest).0);
        let mut last = x;
        let affine = Affine { mask: mask_of_last, ..affine };
        affine.run(s, relu, &x[..len], residual.as_ref().map(|last| &last[..]), &mut last);
        y_rest.copy_from_slice(&last[0][..y_rest.len()]);
    }
}

/// `(x − mean) · scale + bias` where `mask` is true, else 0.
struct Affine<S: Simd> {
    mean: S::Vector,
    scale: S::Vector,
    bias: S::Vector,
    mask: S::Mask,
}

impl<S: Simd> Affine<S> {
    #[inline(always)]
    fn run(&self, s: S, relu: bool, x: &[Pack], residual: Option<&[Pack]>, y: &mut [Pack]) {
        match (residual, relu) {
            (None, false) => self.plain(s, x, y),
            (None, true) => self.relu(s, x, y),
            (Some(residual), false) => self.residual(s, x, residual, y),
            (Some(residual), true) => self.residual_relu(s, x, residual, y),
        }
    }

    #[inline(always)]
    fn at(&self, s: S, x: &Pack) -> S::Vector {
        s.fma(s.sub(s.load(x), self.mean), self.scale, self.bias)
    }

    #[inline(always)]
    fn plain(&self, s: S, x: &[Pack], y: &mut [Pack]) {
        for (x, y) in x.iter().zip(y) {
            s.store(y, s.keep(self.mask, self.at(s, x)));
        }
    }

    // The zero comes first in a maximum: it then keeps a NaN.
    #[inline(always)]
    fn relu(&self, s: S, x: &[Pack], y: &mut [Pack]) {
        for (x, y) in x.iter().zip(y) {
            let value = s.max(s.splat(0.0), self.at(s, x));
            s.store(y, s.keep(self.mask, value));
        }
    }

    #[inline(always)]
    fn residual(&self, s: S, x: &[Pack], residual: &[Pack], y: &mut [Pack]) {
        for ((x, residual), y) in x.iter().zip(residual).zip(y) {
            let value = s.add(self.at(s, x), s.load(residual));
            s.store(y, s.keep(self.mask, value));
        }
    }

    #[inline(always)]
    fn residual_relu(&self, s: S, x: &[Pack], residual: &[Pack], y: &mut [Pack]) {
        for ((x, residual), y) in x.iter().zip(residual).zip(y) {
            let value = s.max(s.splat(0.0), s.add(self.at(s, x), s.load(residual)));
            s.store(y, s.keep(self.mask, value));
        }
    }
}
