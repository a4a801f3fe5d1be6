//! Softmax cross-entropy on the CPU: 16 samples at a time, classes in order.

use super::answers::{Better, count};
use super::{ClassesSize, CrossEntropy};
use crate::cpu::{Cpu, samples_in_group};
use crate::device::{Label, LossSums};
use crate::simd::sums::{Deviations, LaneSums, lanes_below};
use crate::simd::{Kernel, Pack, Simd, WIDTH, math};

impl CrossEntropy for Cpu {
    fn cross_entropy<L: Label>(&mut self, size: &ClassesSize, x: &[f32], labels: &[L], d_x: &mut [f32]) -> LossSums {
        check_labels(size, labels);
        let x = self.layout.whole("x", x, size.samples, size.classes);
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.classes);
        self.isa.run(Loss { size, x: &x, labels, d_x: &mut d_x })
    }

    fn smoothed_cross_entropy<L: Label>(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: &[f32],
        labels: &[L],
        d_x: &mut [f32],
    ) -> LossSums {
        assert!((0.0..=1.0).contains(&smoothing), "smoothing {smoothing} is not in [0, 1]");
        check_labels(size, labels);
        let x = self.layout.whole("x", x, size.samples, size.classes);
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.classes);
        self.isa.run(Smoothed { size, smoothing, x: &x, labels, d_x: &mut d_x })
    }
}

/// # Panics
/// If there is not one label a sample, or one names no class.
pub(crate) fn check_labels<L: Label>(size: &ClassesSize, labels: &[L]) {
    crate::cpu::assert_len("labels", labels.len(), size.samples);
    let largest = labels.iter().map(|label| label.class()).max().unwrap_or(0);
    assert!(labels.is_empty() || largest < size.classes, "label {largest} of {} classes", size.classes);
}

struct Loss<'a, L> {
    size: &'a ClassesSize,
    x: &'a [Pack],
    labels: &'a [L],
    d_x: &'a mut [Pack],
}

impl<L: Label> Kernel for Loss<'_, L> {
    type Output = LossSums;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> LossSums {
        let classes = self.size.classes;
        let mut sums = LossSums::default();
        let groups = self.x.chunks_exact(classes.max(1)).zip(self.d_x.chunks_exact_mut(classes.max(1)));
        for (group, (x, d_x)) in groups.enumerate() {
            let Softmax { largest, log_of_sum } = softmax(s, x, d_x);
            let samples = samples_in_group(self.size.samples, group);
            let labels = &self.labels[group * WIDTH..][..samples];
            for (i, label) in labels.iter().map(|label| label.class()).enumerate() {
                sums.loss += f64::from(largest[i] + log_of_sum[i] - x[label][i]);
                d_x[label][i] -= 1.0;
            }
            count(s, x, labels, Better::Larger, &mut sums);
            for d_x in d_x {
                d_x[samples..].fill(0.0);
            }
        }
        sums
    }
}

struct Smoothed<'a, L> {
    size: &'a ClassesSize,
    smoothing: f32,
    x: &'a [Pack],
    labels: &'a [L],
    d_x: &'a mut [Pack],
}

impl<L: Label> Kernel for Smoothed<'_, L> {
    type Output = LossSums;

    /// In f64, with z = x − max: `l = log Σ e^z − (1 − ε) · z[label] − ε/K · Σ z`.
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> LossSums {
        let classes = self.size.classes.max(1);
        let smoothing = f64::from(self.smoothing);
        let (on_label, on_all) = (1.0 - smoothing, smoothing / classes as f64);
        let mut sums = LossSums::default();
        let groups = self.x.chunks_exact(classes).zip(self.d_x.chunks_exact_mut(classes));
        for (group, (x, d_x)) in groups.enumerate() {
            let Softmax { largest, log_of_sum } = softmax(s, x, d_x);
            let mut distances = LaneSums::<2>::new();
            distances.add(s, classes, &mut Deviations { x, shift: s.load(&largest), mask: lanes_below(s, WIDTH) });
            let samples = samples_in_group(self.size.samples, group);
            let labels = &self.labels[group * WIDTH..][..samples];
            for d_x in d_x.iter_mut() {
                s.store(d_x, s.sub(s.load(d_x), s.splat(on_all as f32)));
            }
            for (i, label) in labels.iter().map(|label| label.class()).enumerate() {
                let of_label = f64::from(x[label][i]) - f64::from(largest[i]);
                sums.loss += f64::from(log_of_sum[i]) - on_label * of_label - on_all * distances.0[0][i];
                d_x[label][i] -= on_label as f32;
            }
            count(s, x, labels, Better::Larger, &mut sums);
            for d_x in d_x {
                d_x[samples..].fill(0.0);
            }
        }
        sums
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
