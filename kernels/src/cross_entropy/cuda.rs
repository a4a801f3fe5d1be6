//! Softmax cross-entropy on a GPU.

use super::{ClassesSize, CrossEntropy, MixedLabels};
use crate::cuda::{Cuda, View, assert_len};
use crate::device::LossOutput;

impl CrossEntropy for Cuda {
    fn cross_entropy(
        &mut self,
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: View<'_, u16>,
        output: LossOutput<'_, Cuda>,
    ) {
        let smoothing = 0.0f32;
        self.loss_over_classes(("cross_entropy", &[smoothing.into()]), size, x, labels, output);
    }

    fn smoothed_cross_entropy(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: View<'_, f32>,
        labels: View<'_, u16>,
        output: LossOutput<'_, Cuda>,
    ) {
        assert!((0.0..=1.0).contains(&smoothing), "smoothing {smoothing} is not in [0, 1]");
        self.loss_over_classes(("cross_entropy", &[smoothing.into()]), size, x, labels, output);
    }

    fn mixed_cross_entropy(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: View<'_, f32>,
        MixedLabels { labels, others, shares }: MixedLabels<'_, Cuda>,
        output: LossOutput<'_, Cuda>,
    ) {
        assert!((0.0..=1.0).contains(&smoothing), "smoothing {smoothing} is not in [0, 1]");
        assert_len("others", others.len(), size.samples);
        assert_len("shares", shares.len(), size.samples);
        let own = [smoothing.into(), others.into(), shares.into()];
        self.loss_over_classes(("mixed_cross_entropy", &own), size, x, labels, output);
    }
}
