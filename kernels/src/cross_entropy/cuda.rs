//! Softmax cross-entropy on a GPU.

use super::{ClassesSize, CrossEntropy};
use crate::cuda::{Cuda, View};
use crate::device::LossOutput;

impl CrossEntropy for Cuda {
    fn cross_entropy(
        &mut self,
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: View<'_, u16>,
        output: LossOutput<'_, Cuda>,
    ) {
        let smoothing = 0.0;
        self.loss_over_classes(("cross_entropy", &[smoothing]), size, x, labels, output);
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
        self.loss_over_classes(("cross_entropy", &[smoothing]), size, x, labels, output);
    }
}
