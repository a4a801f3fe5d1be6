//! One lane's product with the Hessian of the loss, for probes of curvature.

use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::device::{Device, LossOutput, LossSums};
use lockstep_kernels::pixels::PixelsSize;

use super::hand::Made;
use super::{LaneRunner, TrainStep, loss_at};
use crate::layers::MicroBatch;
use crate::model::{Along, TangentMemory, Weights};

impl<D: Device> LaneRunner<D> {
    /// Writes H·v of the sum of the lane's losses where its gradient would be, as in training mode.
    ///
    /// # Panics
    /// If the step has no direction, or the model has a layer without tangents.
    pub(super) fn product_lane(
        &mut self,
        step: &TrainStep<'_, D>,
        lane: u32,
        product: &mut D::ViewMut<'_, f32>,
        mut made: Made<'_, D>,
    ) {
        let work = step.work;
        let (len, parameters) = (work.model.len(), work.model.parameters());
        let Some(row) = self.enter_lane(step, lane, product, &mut made) else { return };
        let samples = self.samples();
        let Self { device, tangents, pixels, labels, keys, rows, .. } = self;
        let memory = tangents.get_or_insert_with(|| TangentMemory::new(device, &work.model, work.micro_batch as usize));
        let input = memory.input(device, &work.model, samples);
        device.pixels_forward(&PixelsSize { samples, ..work.pixels }, pixels.view(), input);
        let along = Along {
            batch: MicroBatch { samples, keys: keys.view() },
            weights: Weights {
                parameters: D::slice(step.weights.parameters, 0..parameters),
                statistics: D::slice(step.weights.statistics, 0..work.model.statistics()),
            },
            direction: D::reborrow(step.direction.expect("a product is along a direction")),
            drops: true,
        };
        let size = ClassesSize { samples, classes: work.classes };
        let outputs = device.activation_len(samples, work.classes);
        let mut loss = |device: &mut D, x: D::View<'_, f32>, mut d_x: D::ViewMut<'_, f32>| {
            let mut sums = rows.loss(row);
            let sums = D::slice_mut(&mut sums, 0..LossSums::LEN);
            let output = LossOutput { d_x: D::slice_mut(&mut d_x, 0..outputs), sums };
            loss_at(device, work.loss, &size, (x, D::reborrow(labels.view())), output);
        };
        let (to, statistics) = D::split_mut(D::slice_mut(product, 0..len), parameters);
        let kind = work.loss.tangent(work.classes);
        work.model.hessian_product(device, &along, memory, (&mut loss, kind), to);
        device.fill(0.0, statistics);
        made.tell(device, product, len);
    }
}
