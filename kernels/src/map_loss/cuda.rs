//! The maximum a posteriori loss on a GPU.

use super::{MapLoss, MapLossSize};
use crate::cuda::{Cuda, View, ViewMut};
use crate::device::{Label, LossSums};

impl MapLoss for Cuda {
    fn map_loss<L: Label>(
        &mut self,
        size: &MapLossSize,
        x: View<'_, f32>,
        labels: &[L],
        d_x: ViewMut<'_, f32>,
    ) -> LossSums {
        self.loss_over_classes(("map_loss", &[size.rubbish]), &size.classes, x, labels, d_x)
    }
}
