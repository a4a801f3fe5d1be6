//! What the losses over classes share: groups of 16 samples, their labels and right answers, zeros for padding.

use super::ClassesSize;
use super::answers::{Better, count};
use crate::cpu::{Cpu, assert_len, samples_in_group};
use crate::device::{LossOutput, LossSums};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// A loss of up to 16 samples.
pub(crate) trait GroupLoss {
    /// Which outputs stand before others.
    const BETTER: Better;

    /// Adds the losses of the samples that have labels to `sum`, in order, and overwrites `d_x` with their gradient.
    /// `first`: the number of the first in the micro-batch. `x` and `d_x` have a pack for each class; what `d_x` gets for
    /// padding does not matter.
    fn add<S: Simd>(&self, s: S, first: usize, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64);
}

impl Cpu {
    /// `x` (N, K), `labels` (N).
    ///
    /// # Panics
    /// If a buffer's length differs from its shape, or a label names no class.
    pub(crate) fn loss_over_classes(
        &mut self,
        loss: impl GroupLoss,
        size: &ClassesSize,
        x: &[f32],
        labels: &[u16],
        output: LossOutput<'_, Cpu>,
    ) {
        assert_labels(size, labels);
        let LossOutput { d_x, sums } = output;
        assert_len("sums", sums.len(), LossSums::LEN);
        let x = self.layout.whole("x", x, size.samples, size.classes);
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.classes);
        let found = self.isa.run(Groups { loss, size, x: &x, labels, d_x: &mut d_x });
        sums.copy_from_slice(&found.numbers());
    }
}

/// # Panics
/// If there are not as many as samples, or one names no class.
pub(crate) fn assert_labels(size: &ClassesSize, labels: &[u16]) {
    assert_len("labels", labels.len(), size.samples);
    let largest = labels.iter().max().map_or(0, |label| usize::from(*label));
    assert!(labels.is_empty() || largest < size.classes, "label {largest} of {} classes", size.classes);
}

struct Groups<'a, T> {
    loss: T,
    size: &'a ClassesSize,
    x: &'a [Pack],
    labels: &'a [u16],
    d_x: &'a mut [Pack],
}

impl<T: GroupLoss> Kernel for Groups<'_, T> {
    type Output = LossSums;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> LossSums {
        let classes = self.size.classes.max(1);
        let mut sums = LossSums::default();
        let groups = self.x.chunks_exact(classes).zip(self.d_x.chunks_exact_mut(classes));
        for (group, (x, d_x)) in groups.enumerate() {
            let samples = samples_in_group(self.size.samples, group);
            let labels = &self.labels[group * WIDTH..][..samples];
            self.loss.add(s, group * WIDTH, x, labels, d_x, &mut sums.loss);
            count(s, x, labels, T::BETTER, &mut sums);
            for d_x in d_x {
                d_x[samples..].fill(0.0);
            }
        }
        sums
    }
}
