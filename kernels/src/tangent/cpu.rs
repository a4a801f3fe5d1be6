//! Tangents on the CPU.

use super::{AtOutputs, Bend, OutputTangent, Tangent};
use crate::activation::{Activation, ActivationSize};
use crate::cpu::{Cpu, samples_in_group};
use crate::cross_entropy::ClassesSize;
use crate::pool2d::Pool2dSize;
use crate::simd::{Kernel, Pack, Simd, math};

impl Tangent for Cpu {
    fn bend(&mut self, size: &ActivationSize, function: Activation, at: Bend<'_, Cpu>, r_d: &mut [f32]) {
        let Some((start, slope)) = function.bend() else { return };
        let [y, r_y, d_y] = [("y", at.y), ("r_y", at.r_y), ("d_y", at.d_y)]
            .map(|(name, values)| self.layout.packs(name, values, size.samples, size.features));
        let r_d = self.layout.packs_mut("r_d", r_d, size.samples, size.features);
        self.isa.run(Bends { start, slope, y, r_y, d_y, r_d });
    }

    /// Lane by lane: it is a gather, and next to the convolution before it nothing.
    fn chosen(&mut self, size: &Pool2dSize, x: &[f32], choice: &[u8], y: &mut [f32]) {
        let Pool2dSize { samples, channels, height, width, window, stride, padding } = *size;
        let (out_height, out_width) = (size.out_height(), size.out_width());
        let x = self.layout.whole("x", x, samples, channels * height * width);
        let choice = self.layout.whole("choice", choice, samples, channels * out_height * out_width);
        let mut y = self.layout.whole_out("y", y, samples, channels * out_height * out_width);
        let planes = x.chunks_exact((height * width).max(1));
        let out = y
            .chunks_exact_mut((out_height * out_width).max(1))
            .zip(choice.chunks_exact((out_height * out_width).max(1)));
        for (x, (y, choice)) in planes.zip(out) {
            for (output, (y, choice)) in y.iter_mut().zip(choice).enumerate() {
                let (top, left) = (output / out_width * stride, output % out_width * stride);
                for (lane, (y, place)) in y.iter_mut().zip(choice).enumerate() {
                    let (row, column) = (top + usize::from(*place) / window, left + usize::from(*place) % window);
                    *y = x[(row - padding) * width + column - padding][lane];
                }
            }
        }
    }

    fn output_tangent(&mut self, size: &ClassesSize, loss: OutputTangent, at: AtOutputs<'_, Cpu>, r: &mut [f32]) {
        let x = self.layout.whole("x", at.x, size.samples, size.classes);
        let d_x = self.layout.whole("d_x", at.d_x, size.samples, size.classes);
        let mut r = self.layout.whole_mut("r", r, size.samples, size.classes);
        self.isa.run(Outputs { size, loss, x: &x, d_x: &d_x, r: &mut r });
    }
}

struct Bends<'a> {
    start: f32,
    slope: f32,
    y: &'a [Pack],
    r_y: &'a [Pack],
    d_y: &'a [Pack],
    r_d: &'a mut [Pack],
}

impl Kernel for Bends<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (start, slope) = (s.splat(self.start), s.splat(self.slope));
        for (((r_d, y), r_y), d_y) in self.r_d.iter_mut().zip(self.y).zip(self.r_y).zip(self.d_y) {
            let bend = s.add(start, s.mul(slope, s.load(y)));
            let sum = s.add(s.load(r_d), s.mul(bend, s.mul(s.load(r_y), s.load(d_y))));
            s.store(r_d, sum);
        }
    }
}

struct Outputs<'a> {
    size: &'a ClassesSize,
    loss: OutputTangent,
    x: &'a [Pack],
    d_x: &'a [Pack],
    r: &'a mut [Pack],
}

impl Kernel for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let classes = self.size.classes.max(1);
        let groups = self.x.chunks_exact(classes).zip(self.d_x.chunks_exact(classes));
        for (group, (r, (x, d_x))) in self.r.chunks_exact_mut(classes).zip(groups).enumerate() {
            match self.loss {
                OutputTangent::Softmax => softmax(s, x, r),
                OutputTangent::Sigmoid { scale } => sigmoid(s, scale, x, r),
                OutputTangent::Quadratic { curvature } => {
                    for r in r.iter_mut() {
                        let product = s.mul(s.splat(curvature), s.load(r));
                        s.store(r, product);
                    }
                }
                OutputTangent::Shares => shares(s, d_x, r),
            }
            let samples = samples_in_group(self.size.samples, group);
            r.iter_mut().for_each(|r| r[samples..].fill(0.0));
        }
    }
}

/// Powers are computed twice, so that they need no memory.
#[inline(always)]
fn softmax<S: Simd>(s: S, x: &[Pack], r: &mut [Pack]) {
    let mut largest = s.splat(f32::NEG_INFINITY);
    for x in x {
        largest = s.max(largest, s.load(x));
    }
    let (mut sum, mut mean) = (s.splat(0.0), s.splat(0.0));
    for (x, r) in x.iter().zip(r.iter()) {
        let power = math::exp(s, s.sub(s.load(x), largest));
        sum = s.add(sum, power);
        mean = s.fma(power, s.load(r), mean);
    }
    let mean = s.div(mean, sum);
    for (x, r) in x.iter().zip(r) {
        let share = s.div(math::exp(s, s.sub(s.load(x), largest)), sum);
        let tangent = s.mul(share, s.sub(s.load(r), mean));
        s.store(r, tangent);
    }
}

#[inline(always)]
fn sigmoid<S: Simd>(s: S, scale: f32, x: &[Pack], r: &mut [Pack]) {
    let zero = s.splat(0.0);
    for (x, r) in x.iter().zip(r) {
        // s(−x) is 1 − s(x) without the cancellation.
        let (share, rest) = (math::sigmoid(s, s.load(x)), math::sigmoid(s, s.sub(zero, s.load(x))));
        let tangent = s.mul(s.mul(s.splat(scale), s.mul(share, rest)), s.load(r));
        s.store(r, tangent);
    }
}

#[inline(always)]
fn shares<S: Simd>(s: S, d_x: &[Pack], r: &mut [Pack]) {
    let zero = s.splat(0.0);
    let share = |d: &Pack| s.max(zero, s.sub(zero, s.load(d)));
    let mut mean = zero;
    for (d, r) in d_x.iter().zip(r.iter()) {
        mean = s.fma(share(d), s.load(r), mean);
    }
    for (d, r) in d_x.iter().zip(r) {
        let tangent = s.mul(share(d), s.sub(s.load(r), mean));
        s.store(r, tangent);
    }
}
