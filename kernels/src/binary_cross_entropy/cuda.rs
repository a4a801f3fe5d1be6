//! Binary cross-entropy on a GPU.

use super::BinaryCrossEntropy;
use crate::cross_entropy::ClassesSize;
use crate::cuda::{Cuda, View, ViewMut};
use crate::device::{Label, LossSums};

impl BinaryCrossEntropy for Cuda {
    fn binary_cross_entropy<L: Label>(
        &mut self,
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: &[L],
        d_x: ViewMut<'_, f32>,
    ) -> LossSums {
        self.loss_over_classes(("binary_cross_entropy", &[]), size, x, labels, d_x)
    }
}
