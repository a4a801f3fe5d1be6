//! Softmax cross-entropy on a GPU.

use super::{ClassesSize, CrossEntropy};
use crate::cuda::{Cuda, View, ViewMut};
use crate::device::{Label, LossSums};

impl CrossEntropy for Cuda {
    fn cross_entropy<L: Label>(
        &mut self,
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: &[L],
        d_x: ViewMut<'_, f32>,
    ) -> LossSums {
        let smoothing = 0.0;
        self.loss_over_classes(("cross_entropy", &[smoothing]), size, x, labels, d_x)
    }

    fn smoothed_cross_entropy<L: Label>(
        &mut self,
        size: &ClassesSize,
        smoothing: f32,
        x: View<'_, f32>,
        labels: &[L],
        d_x: ViewMut<'_, f32>,
    ) -> LossSums {
        assert!((0.0..=1.0).contains(&smoothing), "smoothing {smoothing} is not in [0, 1]");
        self.loss_over_classes(("cross_entropy", &[smoothing]), size, x, labels, d_x)
    }
}
