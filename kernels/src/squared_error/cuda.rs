//! Squared error on a GPU.

use super::SquaredError;
use crate::cross_entropy::ClassesSize;
use crate::cuda::{Cuda, View};
use crate::device::LossOutput;

impl SquaredError for Cuda {
    fn squared_error(
        &mut self,
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: View<'_, u16>,
        output: LossOutput<'_, Cuda>,
    ) {
        self.loss_over_classes(("squared_error", &[]), size, x, labels, output);
    }
}
