//! Softmax cross-entropy on the CPU: 16 samples at a time, classes in order.

use super::answers::{Better, count};
use super::{ClassesSize, CrossEntropy};
use crate::cpu::{Cpu, packs, packs_mut, samples_in_group};
use crate::device::{Label, LossSums};
use crate::simd::{Kernel, Pack, Simd, WIDTH, math};

impl CrossEntropy for Cpu {
    fn cross_entropy<L: Label>(&mut self, size: &ClassesSize, x: &[f32], labels: &[L], d_x: &mut [f32]) -> LossSums {
        check_labels(size, labels);
        let x = packs("x", x, size.samples, size.classes);
        let d_x = packs_mut("d_x", d_x, size.samples, size.classes);
        self.isa.run(Softmax { size, x, labels, d_x })
    }

    fn smoothed_cross_entropy<L: Label>(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: &[f32],
        labels: &[L],
        d_x: &mut [f32],
    ) -> LossSums {
        let _ = smoothing;
        self.cross_entropy(size, x, labels, d_x)
    }
}

/// # Panics
/// If there is not one label a sample, or one names no class.
pub(crate) fn check_labels<L: Label>(size: &ClassesSize, labels: &[L]) {
    crate::cpu::assert_len("labels", labels.len(), size.samples);
    let largest = labels.iter().map(|label| label.class()).max().unwrap_or(0);
    assert!(labels.is_empty() || largest < size.classes, "label {largest} of {} classes", size.classes);
}

struct Softmax<'a, L> {
    size: &'a ClassesSize,
    x: &'a [Pack],
    labels: &'a [L],
    d_x: &'a mut [Pack],
}

impl<L: Label> Kernel for Softmax<'_, L> {
    type Output = LossSums;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> LossSums {
        let classes = self.size.classes;
        let mut sums = LossSums::default();
        let groups = self.x.chunks_exact(classes.max(1)).zip(self.d_x.chunks_exact_mut(classes.max(1)));
        for (group, (x, d_x)) in groups.enumerate() {
            let log_of_sum = softmax(s, x, d_x);
            let samples = samples_in_group(self.size.samples, group);
            let labels = &self.labels[group * WIDTH..][..samples];
            for (i, label) in labels.iter().map(|label| label.class()).enumerate() {
                sums.loss += f64::from(log_of_sum[i] - x[label][i]);
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

/// Probabilities to `y`; returns `log Σ_k e^{x[k]}`.
#[inline(always)]
fn softmax<S: Simd>(s: S, x: &[Pack], y: &mut [Pack]) -> Pack {
    let mut largest = s.splat(f32::NEG_INFINITY);
    for x in x {
        largest = s.max(largest, s.load(x));
    }
    let mut sum = s.splat(0.0);
    for (x, y) in x.iter().zip(y.iter_mut()) {
        let e = math::exp(s, s.sub(s.load(x), largest));
        sum = s.add(sum, e);
        s.store(y, e);
    }
    for y in y {
        let probability = s.div(s.load(y), sum);
        s.store(y, probability);
    }
    let mut log_of_sum = [0.0; WIDTH];
    s.store(&mut log_of_sum, s.add(largest, math::log(s, sum)));
    log_of_sum
}
