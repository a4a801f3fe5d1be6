//! The maximum a posteriori loss on a GPU.

use super::{MapLoss, MapLossSize};
use crate::cuda::{Cuda, View};
use crate::device::LossOutput;

impl MapLoss for Cuda {
    fn map_loss(&mut self, size: &MapLossSize, x: View<'_, f32>, labels: View<'_, u16>, output: LossOutput<'_, Cuda>) {
        self.loss_over_classes(("map_loss", &[size.rubbish.into()]), &size.classes, x, labels, output);
    }
}
