//! Binary cross-entropy on a GPU.

use super::BinaryCrossEntropy;
use crate::cross_entropy::ClassesSize;
use crate::cuda::{Cuda, View};
use crate::device::LossOutput;

impl BinaryCrossEntropy for Cuda {
    fn binary_cross_entropy(
        &mut self,
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: View<'_, u16>,
        output: LossOutput<'_, Cuda>,
    ) {
        self.loss_over_classes(("binary_cross_entropy", &[]), size, x, labels, output);
    }
}
