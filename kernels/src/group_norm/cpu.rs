//! Group normalisation on the CPU: every lane has moments of its own.
//!
//! Order of operations, for any instruction set: a sample's group in order by `LaneSums`; `d_weight` and `d_bias` add
//! groups of samples in order, each the 16 lanes by the tree of `LaneSums`.

use std::mem::take;
use std::ops::Range;

use super::{GroupNorm, GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};
use crate::cpu::{Cpu, Scratch, assert_len, groups, samples_in_group};
use crate::simd::sums::{Deviations, LaneSums, Terms, Values, lanes_below, mean_and_variance};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl GroupNormSize {
    fn features(&self) -> usize {
        self.channels * self.plane
    }

    fn channels_in_group(&self) -> usize {
        self.channels / self.groups
    }

    fn channels_of(&self, g: usize) -> Range<usize> {
        g * self.channels_in_group()..(g + 1) * self.channels_in_group()
    }
}

impl GroupNorm for Cpu {
    fn group_norm_forward(
        &mut self,
        size: &GroupNormSize,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        output: GroupNormOutput<'_, Cpu>,
    ) {
        size.check();
        assert_len("weight", weight.len(), size.channels);
        assert_len("bias", bias.len(), size.channels);
        let x = self.layout.whole("x", x, size.samples, size.features());
        let mut y = self.layout.whole_out("y", output.y, size.samples, size.features());
        let mut moments = self.layout.whole_out("moments", output.moments, size.samples, size.moments_features());
        self.isa.run(Forward { size, x: &x, weight, bias, y: &mut y, moments: &mut moments });
    }

    fn group_norm_backward(
        &mut self,
        size: &GroupNormSize,
        saved: GroupNormSaved<'_, Cpu>,
        gradients: GroupNormGradients<'_, Cpu>,
    ) {
        size.check();
        let GroupNormGradients { d_y, d_x, d_weight, d_bias } = gradients;
        let weight = saved.weight;
        assert_len("weight", weight.len(), size.channels);
        assert_len("d_weight", d_weight.len(), size.channels);
        assert_len("d_bias", d_bias.len(), size.channels);
        let x = self.layout.whole("x", saved.x, size.samples, size.features());
        let moments = self.layout.whole("moments", saved.moments, size.samples, size.moments_features());
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.features());
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.features());
        let scratch = &mut self.scratch;
        let (x, moments, d_y, d_x) = (&*x, &*moments, &*d_y, &mut *d_x);
        self.isa.run(Backward { size, x, weight, moments, d_y, d_x, d_weight, d_bias, scratch });
    }
}

struct Forward<'a> {
    size: &'a GroupNormSize,
    x: &'a [Pack],
    weight: &'a [f32],
    bias: &'a [f32],
    y: &'a mut [Pack],
    moments: &'a mut [Pack],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for group in 0..groups(self.size.samples) {
            for g in 0..self.size.groups {
                self.normalise(s, group, g);
            }
        }
    }
}

impl Forward<'_> {
    /// Group of channels `g` of a group of samples.
    #[inline(always)]
    fn normalise<S: Simd>(&mut self, s: S, group: usize, g: usize) {
        let size = self.size;
        let mask = lanes_below(s, samples_in_group(size.samples, group));
        let start = (group * size.channels + g * size.channels_in_group()) * size.plane;
        let moments = moments_of(s, size, &self.x[start..][..size.channels_in_group() * size.plane]);
        let [mean, inverse, rest] = [moments.mean, moments.inverse, moments.rest].map(|pack| s.load(&pack));
        let saved = &mut self.moments[group * size.moments_features()..];
        s.store(&mut saved[g], s.keep(mask, mean));
        s.store(&mut saved[size.groups + g], s.keep(mask, inverse));
        for channel in size.channels_of(g) {
            let (weight, bias) = (s.splat(self.weight[channel]), s.splat(self.bias[channel]));
            let start = (group * size.channels + channel) * size.plane;
            let y = &mut self.y[start..][..size.plane];
            for (x, y) in self.x[start..].iter().zip(y) {
                let normalised = s.fma(s.sub(s.load(x), mean), inverse, rest);
                s.store(y, s.keep(mask, s.fma(normalised, weight, bias)));
            }
        }
    }
}

/// Moments of 16 samples' groups of channels.
struct Moments {
    mean: Pack,
    /// `1 / √(variance + ε)`.
    inverse: Pack,
    /// What the mean lost when it was rounded, times `inverse`.
    rest: Pack,
}

#[inline(always)]
fn moments_of<S: Simd>(s: S, size: &GroupNormSize, x: &[Pack]) -> Moments {
    // All lanes: a padding sample's moments reach nobody.
    let mask = lanes_below(s, WIDTH);
    let n = x.len() as f64;
    let mut sum = LaneSums::<1>::new();
    sum.add(s, x.len(), &mut Values { x, mask });
    let shift = sum.0[0].map(|sum| (sum / n) as f32);
    let mut sums = LaneSums::<2>::new();
    sums.add(s, x.len(), &mut Deviations { x, shift: s.load(&shift), mask });
    let mut moments = Moments { mean: [0.0; WIDTH], inverse: [0.0; WIDTH], rest: [0.0; WIDTH] };
    for i in 0..WIDTH {
        let (mean, variance) = mean_and_variance(shift[i], sums.0[0][i], sums.0[1][i], n);
        let inverse = 1.0 / (variance + f64::from(size.epsilon)).sqrt();
        moments.mean[i] = mean as f32;
        moments.inverse[i] = inverse as f32;
        moments.rest[i] = ((f64::from(moments.mean[i]) - mean) * inverse) as f32;
    }
    moments
}

struct Backward<'a> {
    size: &'a GroupNormSize,
    x: &'a [Pack],
    weight: &'a [f32],
    moments: &'a [Pack],
    d_y: &'a [Pack],
    d_x: &'a mut [Pack],
    d_weight: &'a mut [f32],
    d_bias: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let size = self.size;
        let mut scratch = take(&mut self.scratch.sums);
        // For each group of samples and channel: Σ d_y and Σ d_y · x̂ of each sample.
        let sums = scratch.packs(2 * groups(size.samples) * size.channels);
        for channel in 0..size.channels {
            self.parameters_of(s, channel, sums);
        }
        for group in 0..groups(size.samples) {
            for g in 0..size.groups {
                self.inputs_of(s, group, g, &sums[2 * group * size.channels..][..2 * size.channels]);
            }
        }
        self.scratch.sums = scratch;
    }
}

impl Backward<'_> {
    /// The gradients of a channel's weight and bias, and its part of `sums`.
    #[inline(always)]
    fn parameters_of<S: Simd>(&mut self, s: S, channel: usize, sums: &mut [Pack]) {
        let size = self.size;
        let mut totals = [0.0; 2];
        for group in 0..groups(size.samples) {
            let start = (group * size.channels + channel) * size.plane;
            let (mean, inverse) = load_moments(s, size, self.moments, group, channel / size.channels_in_group());
            let (x, d_y) = (&self.x[start..][..size.plane], &self.d_y[start..][..size.plane]);
            let mut of_run = LaneSums::<2>::new();
            of_run.add(s, size.plane, &mut Products::<S> { x, d_y, mean, inverse });
            for (i, total) in of_run.total().into_iter().enumerate() {
                totals[i] += total;
                sums[2 * (group * size.channels + channel) + i] = of_run.0[i].map(|sum| sum as f32);
            }
        }
        [self.d_bias[channel], self.d_weight[channel]] = totals.map(|total| total as f32);
    }

    /// The gradients of the inputs in group of channels `g` of a group of samples, whose sums are `sums`.
    #[inline(always)]
    fn inputs_of<S: Simd>(&mut self, s: S, group: usize, g: usize, sums: &[Pack]) {
        let size = self.size;
        let mask = lanes_below(s, samples_in_group(size.samples, group));
        let [mean_d, mean_product] = means_over_group(size, self.weight, sums, g).map(|mean| s.load(&mean));
        let (mean, inverse) = load_moments(s, size, self.moments, group, g);
        for channel in size.channels_of(g) {
            let start = (group * size.channels + channel) * size.plane;
            let (x, d_y) = (&self.x[start..][..size.plane], &self.d_y[start..][..size.plane]);
            let weight = s.splat(self.weight[channel]);
            for ((d_x, d_y), x) in self.d_x[start..].iter_mut().zip(d_y).zip(x) {
                let normalised = s.mul(s.sub(s.load(x), mean), inverse);
                let d = s.sub(s.mul(weight, s.load(d_y)), mean_d);
                let d = s.sub(d, s.mul(normalised, mean_product));
                s.store(d_x, s.keep(mask, s.mul(d, inverse)));
            }
        }
    }
}

/// Mean and `1 / √(variance + ε)` of group of channels `g` of a group of samples.
#[inline(always)]
fn load_moments<S: Simd>(
    s: S,
    size: &GroupNormSize,
    moments: &[Pack],
    group: usize,
    g: usize,
) -> (S::Vector, S::Vector) {
    let moments = &moments[group * size.moments_features()..];
    (s.load(&moments[g]), s.load(&moments[size.groups + g]))
}

/// The means of `weight · d_y` and of `weight · d_y · x̂` over group of channels `g` of each sample.
#[inline(always)]
fn means_over_group(size: &GroupNormSize, weight: &[f32], sums: &[Pack], g: usize) -> [Pack; 2] {
    let mut means = [[0.0f64; WIDTH]; 2];
    for channel in size.channels_of(g) {
        for (i, means) in means.iter_mut().enumerate() {
            for lane in 0..WIDTH {
                means[lane] += f64::from(weight[channel]) * f64::from(sums[2 * channel + i][lane]);
            }
        }
    }
    let n = (size.channels_in_group() * size.plane) as f64;
    means.map(|means| means.map(|sum| (sum / n) as f32))
}

/// The sums of `d_y` and `d_y · x̂`.
struct Products<'a, S: Simd> {
    x: &'a [Pack],
    d_y: &'a [Pack],
    mean: S::Vector,
    inverse: S::Vector,
}

impl<S: Simd> Terms<S, 2> for Products<'_, S> {
    #[inline(always)]
    fn at(&mut self, s: S, i: usize) -> [S::Vector; 2] {
        let d_y = s.load(&self.d_y[i]);
        let normalised = s.mul(s.sub(s.load(&self.x[i]), self.mean), self.inverse);
        [d_y, s.mul(d_y, normalised)]
    }
}
