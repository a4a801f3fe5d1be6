//! Lanes that are computed a second time, to look at what they come to.

use lockstep_kernels::device::Device;

use super::{LaneRunner, TrainStep};
use crate::layers::MicroBatch;
use crate::trainer::measures::Nonfinite;

impl<D: Device> LaneRunner<D> {
    /// Digest of the gradient of the step's replayed lane, if this runner has computed it since the last call.
    pub fn take_lane_digest(&mut self) -> Option<String> {
        self.lane_digest.take()
    }

    /// Computes the step's replayed lane into `gradient`, memory that nobody else reads, for its digest; none if a sample
    /// of it can't be read, which the next step tells.
    pub fn replay_lane(&mut self, step: &TrainStep<'_, D>, gradient: &mut D::ViewMut<'_, f32>) -> Option<String> {
        let lane = step.replayed?;
        self.train_subtree(step, lane..lane + 1, gradient);
        self.take_lane_digest().filter(|_| self.unread.is_none())
    }

    /// Computes a lane once more, into `gradient`, memory that nobody else reads, to say what of it is not finite: the
    /// first layer whose output is not, or else whose gradient is not on the way back. None if all of it is finite.
    pub fn find_nonfinite(
        &mut self,
        step: &TrainStep<'_, D>,
        lane: u32,
        gradient: &mut D::ViewMut<'_, f32>,
    ) -> Option<String> {
        let work = step.work;
        let gradient_of = |place| work.model.layer_names().nth(place).unwrap_or_default().to_owned();
        match Nonfinite::of(&self.train_subtree(step, lane..lane + 1, gradient))? {
            Nonfinite::Gradient(place) => Some(format!("the gradient of layer {} is not finite", gradient_of(place))),
            Nonfinite::Loss => {
                self.write_input(work);
                let batch = MicroBatch { samples: self.samples(), keys: self.keys.view() };
                let (_, statistics) =
                    D::split_mut(D::slice_mut(gradient, 0..work.model.len()), work.model.parameters());
                let (device, activations) = (&mut self.device, &mut self.activations);
                let first = work.model.first_nonfinite(device, batch, step.weights, activations, statistics);
                Some(match first {
                    Some(layer) => format!("the output of layer {layer} is not finite"),
                    None => "the loss is not finite, though the outputs of all layers are".to_owned(),
                })
            }
        }
    }
}
