//! Softmax cross-entropy on the CPU: 16 samples at a time, classes in order.

use super::answers::Better;
use super::groups::{GroupLoss, assert_labels};
use super::{ClassesSize, CrossEntropy, MixedLabels};
use crate::cpu::{Cpu, assert_len};
use crate::device::LossOutput;
use crate::simd::sums::{Deviations, LaneSums, lanes_below};
use crate::simd::{Pack, Simd, WIDTH, math};

impl CrossEntropy for Cpu {
    fn cross_entropy(&mut self, size: &ClassesSize, x: &[f32], labels: &[u16], output: LossOutput<'_, Cpu>) {
        self.loss_over_classes(Plain, size, x, labels, output);
    }

    fn smoothed_cross_entropy(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: &[f32],
        labels: &[u16],
        output: LossOutput<'_, Cpu>,
    ) {
        assert!((0.0..=1.0).contains(&smoothing), "smoothing {smoothing} is not in [0, 1]");
        self.loss_over_classes(Smoothed { smoothing }, size, x, labels, output);
    }

    fn mixed_cross_entropy(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: &[f32],
        MixedLabels { labels, others, shares }: MixedLabels<'_, Cpu>,
        output: LossOutput<'_, Cpu>,
    ) {
        assert!((0.0..=1.0).contains(&smoothing), "smoothing {smoothing} is not in [0, 1]");
        assert_labels(size, others);
        assert_len("shares", shares.len(), size.samples);
        shares.iter().for_each(|share| assert!((0.0..=1.0).contains(share), "share {share} is not in [0, 1]"));
        self.loss_over_classes(Mixed { smoothing, others, shares }, size, x, labels, output);
    }
}

struct Plain;

impl GroupLoss for Plain {
    const BETTER: Better = Better::Larger;

    #[inline(always)]
    fn add<S: Simd>(&self, s: S, _: usize, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64) {
        let Softmax { largest, log_of_sum } = softmax(s, x, d_x);
        for (i, label) in labels.iter().map(|label| usize::from(*label)).enumerate() {
            *sum += f64::from(largest[i] + log_of_sum[i] - x[label][i]);
            d_x[label][i] -= 1.0;
        }
    }
}

struct Smoothed {
    smoothing: f32,
}

impl GroupLoss for Smoothed {
    const BETTER: Better = Better::Larger;

    #[inline(always)]
    fn add<S: Simd>(&self, s: S, _: usize, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64) {
        add_smoothed(s, self.smoothing, x, d_x, labels.iter().map(|label| [(*label, 1.0)]), sum);
    }
}

struct Mixed<'a> {
    smoothing: f32,
    others: &'a [u16],
    shares: &'a [f32],
}

impl GroupLoss for Mixed<'_> {
    const BETTER: Better = Better::Larger;

    #[inline(always)]
    fn add<S: Simd>(&self, s: S, first: usize, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64) {
        let others = labels.iter().zip(&self.others[first..]).zip(&self.shares[first..]);
        let targets = others.map(|((label, other), share)| {
            let share = f64::from(*share);
            [(*label, share), (*other, 1.0 - share)]
        });
        add_smoothed(s, self.smoothing, x, d_x, targets, sum);
    }
}

/// In f64, with z = x − max, and for each sample some labels with their shares λ, which are 1 in sum:
/// `l = log Σ e^z − (1 − ε) · Σ λ · z[label] − ε/K · Σ z`. What has no share is left out, since it may be infinite.
#[inline(always)]
fn add_smoothed<S: Simd, const LABELS: usize>(
    s: S,
    smoothing: f32,
    x: &[Pack],
    d_x: &mut [Pack],
    targets: impl Iterator<Item = [(u16, f64); LABELS]>,
    sum: &mut f64,
) {
    let (classes, smoothing) = (x.len(), f64::from(smoothing));
    let (on_labels, on_all) = (1.0 - smoothing, smoothing / classes as f64);
    let Softmax { largest, log_of_sum } = softmax(s, x, d_x);
    let mut distances = LaneSums::<2>::new();
    if smoothing > 0.0 {
        distances.add(s, classes, &mut Deviations { x, shift: s.load(&largest), mask: lanes_below(s, WIDTH) });
        for d_x in d_x.iter_mut() {
            s.store(d_x, s.sub(s.load(d_x), s.splat(on_all as f32)));
        }
    }
    for (i, labels) in targets.enumerate() {
        let mut of_sample = f64::from(log_of_sum[i]);
        for (label, share) in labels.into_iter().filter(|(_, share)| *share > 0.0) {
            let (label, on_label) = (usize::from(label), on_labels * share);
            of_sample -= on_label * (f64::from(x[label][i]) - f64::from(largest[i]));
            d_x[label][i] -= on_label as f32;
        }
        if smoothing > 0.0 {
            of_sample -= on_all * distances.0[0][i];
        }
        *sum += of_sample;
    }
}

/// What a softmax is made of, for 16 samples.
struct Softmax {
    /// The largest x.
    largest: Pack,
    /// `log Σ_k e^{x[k] − largest}`.
    log_of_sum: Pack,
}

/// Classes whose powers are added in f32 before their sum goes on in f64.
const AT_ONCE: usize = 64;

/// Probabilities to `y`.
#[inline(always)]
fn softmax<S: Simd>(s: S, x: &[Pack], y: &mut [Pack]) -> Softmax {
    let mut largest = s.splat(f32::NEG_INFINITY);
    for x in x {
        largest = s.max(largest, s.load(x));
    }
    let mut total = [0.0; WIDTH];
    for (x, y) in x.chunks(AT_ONCE).zip(y.chunks_mut(AT_ONCE)) {
        let mut sum = s.splat(0.0);
        for (x, y) in x.iter().zip(y) {
            let e = math::exp(s, s.sub(s.load(x), largest));
            sum = s.add(sum, e);
            s.store(y, e);
        }
        let mut sums = [0.0; WIDTH];
        s.store(&mut sums, sum);
        for i in 0..WIDTH {
            total[i] += f64::from(sums[i]);
        }
    }
    let sum = s.load(&total.map(|total| total as f32));
    for y in y {
        let probability = s.div(s.load(y), sum);
        s.store(y, probability);
    }
    let mut softmax = Softmax { largest: [0.0; WIDTH], log_of_sum: [0.0; WIDTH] };
    s.store(&mut softmax.largest, largest);
    s.store(&mut softmax.log_of_sum, math::log(s, sum));
    softmax
}
