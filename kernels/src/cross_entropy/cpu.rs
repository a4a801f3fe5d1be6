//! Softmax cross-entropy on the CPU: 16 samples at a time, classes in order.

use super::answers::Better;
use super::groups::GroupLoss;
use super::{ClassesSize, CrossEntropy};
use crate::cpu::Cpu;
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
}

struct Plain;

impl GroupLoss for Plain {
    const BETTER: Better = Better::Larger;

    #[inline(always)]
    fn add<S: Simd>(&self, s: S, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64) {
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

    /// In f64, with z = x − max: `l = log Σ e^z − (1 − ε) · z[label] − ε/K · Σ z`.
    #[inline(always)]
    fn add<S: Simd>(&self, s: S, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64) {
        let (classes, smoothing) = (x.len(), f64::from(self.smoothing));
        let (on_label, on_all) = (1.0 - smoothing, smoothing / classes as f64);
        let Softmax { largest, log_of_sum } = softmax(s, x, d_x);
        let mut distances = LaneSums::<2>::new();
        distances.add(s, classes, &mut Deviations { x, shift: s.load(&largest), mask: lanes_below(s, WIDTH) });
        for d_x in d_x.iter_mut() {
            s.store(d_x, s.sub(s.load(d_x), s.splat(on_all as f32)));
        }
        for (i, label) in labels.iter().map(|label| usize::from(*label)).enumerate() {
            let of_label = f64::from(x[label][i]) - f64::from(largest[i]);
            *sum += f64::from(log_of_sum[i]) - on_label * of_label - on_all * distances.0[0][i];
            d_x[label][i] -= on_label as f32;
        }
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
