//! Squared error on a GPU.

use super::SquaredError;
use crate::cross_entropy::ClassesSize;
use crate::cuda::{Cuda, View, ViewMut};
use crate::device::{Label, LossSums};

impl SquaredError for Cuda {
    fn squared_error<L: Label>(
        &mut self,
        size: &ClassesSize,
        x: View<'_, f32>,
        labels: &[L],
        d_x: ViewMut<'_, f32>,
    ) -> LossSums {
        self.loss_over_classes(("squared_error", &[]), size, x, labels, d_x)
    }
}
