//! Moments, and the values that they normalise.

use crate::batch_norm::BatchNormSize;
use crate::cpu::{groups, samples_in_group};
use crate::simd::sums::{Deviations, LaneSums, Values, lanes_below, mean_and_variance};
use crate::simd::{Kernel, Pack, Simd};

pub(super) struct Input<'a> {
    pub x: &'a [Pack],
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub residual: Option<&'a [Pack]>,
}

pub(super) struct Forward<'a> {
    pub size: &'a BatchNormSize,
    pub input: Input<'a>,
    pub y: &'a mut [Pack],
    pub moments: &'a mut [f32],
    pub statistics: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { size, input, y, moments, statistics } = self;
        let (means, deviations) = moments.split_at_mut(size.channels);
        let (mean_sums, variance_sums) = statistics.split_at_mut(size.channels);
        let (samples, n) = (size.samples as f64, (size.samples * size.plane) as f64);
        // One number has no unbiased variance; its biased one is 0.
        let unbiased = if n > 1.0 { n / (n - 1.0) } else { 1.0 };
        for channel in 0..size.channels {
            let (mean, variance) = channel_moments(s, size, input.x, channel);
            let inverse = 1.0 / (variance + f64::from(size.epsilon)).sqrt();
            means[channel] = mean as f32;
            deviations[channel] = inverse as f32;
            mean_sums[channel] = (samples * mean) as f32;
            variance_sums[channel] = (samples * variance * unbiased) as f32;
            normalise_channel(s, size, &input, y, channel, Moments { mean, inverse });
        }
    }
}

pub(super) struct Evaluate<'a> {
    pub size: &'a BatchNormSize,
    pub input: Input<'a>,
    pub running: &'a [f32],
    pub y: &'a mut [Pack],
}

impl Kernel for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Evaluate { size, input, running, y } = self;
        let (means, variances) = running.split_at(size.channels);
        for channel in 0..size.channels {
            let mean = f64::from(means[channel]);
            let inverse = 1.0 / (f64::from(variances[channel]) + f64::from(size.epsilon)).sqrt();
            normalise_channel(s, size, &input, y, channel, Moments { mean, inverse });
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
fn channel_moments<S: Simd>(s: S, size: &BatchNormSize, x: &[Pack], channel: usize) -> (f64, f64) {
    let n = (size.samples * size.plane) as f64;
    let mut sum = LaneSums::<1>::new();
    for group in 0..groups(size.samples) {
        let mask = lanes_below(s, samples_in_group(size.samples, group));
        sum.add(s, size.plane, &mut Values { x: &x[size.run(group, channel)], mask });
    }
    let shift = (sum.total()[0] / n) as f32;
    let mut sums = LaneSums::<2>::new();
    for group in 0..groups(size.samples) {
        let mask = lanes_below(s, samples_in_group(size.samples, group));
        sums.add(s, size.plane, &mut Deviations { x: &x[size.run(group, channel)], shift: s.splat(shift), mask });
    }
    let [deviations, squares] = sums.total();
    mean_and_variance(shift, deviations, squares, n)
}

#[inline(always)]
fn normalise_channel<S: Simd>(
    s: S,
    size: &BatchNormSize,
    input: &Input<'_>,
    y: &mut [Pack],
    channel: usize,
    moments: Moments,
) {
    let (weight, bias) = (f64::from(input.weight[channel]), f64::from(input.bias[channel]));
    let scale = weight * moments.inverse;
    // The subtraction of the rounded mean is exact for values near it; what was rounded off goes into the bias.
    let mean = moments.mean as f32;
    let bias = bias + scale * (f64::from(mean) - moments.mean);
    for group in 0..groups(size.samples) {
        let run = size.run(group, channel);
        let affine = Affine {
            mean: s.splat(mean),
            scale: s.splat(scale as f32),
            bias: s.splat(bias as f32),
            mask: lanes_below(s, samples_in_group(size.samples, group)),
        };
        let (x, y) = (&input.x[run.clone()], &mut y[run.clone()]);
        match (input.residual, size.relu) {
            (None, false) => affine.plain(s, x, y),
            (None, true) => affine.relu(s, x, y),
            (Some(residual), false) => affine.residual(s, x, &residual[run], y),
            (Some(residual), true) => affine.residual_relu(s, x, &residual[run], y),
        }
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
