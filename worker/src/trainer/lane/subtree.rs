//! The tree over a thread's lanes: inner nodes add what their two halves come to.

use std::ops::Range;
use std::time::Instant;

use lockstep_collective::{Tally, tree};
use lockstep_kernels::device::Device;

use super::load::lane_positions;
use super::{Evaluation, LaneRunner, Pass, TrainStep};
use crate::trainer::measures;

impl<D: Device> LaneRunner<D> {
    /// Sums the gradients and tallies of `lanes`, a node of the tree, into a slot of the host's memory.
    pub fn train_slot(&mut self, step: &TrainStep<'_, D>, lanes: Range<u32>, slot: &mut [f32]) -> Tally {
        let slot = match D::host_view_mut(slot) {
            Ok(mut view) => return self.train_subtree(step, lanes, &mut view),
            Err(slot) => slot,
        };
        let len = step.work.model.len();
        let mut gradient = self.slot.take().unwrap_or_else(|| self.device.zeros(len));
        let tally = self.train_subtree(step, lanes, &mut D::view_mut(&mut gradient, 0..len));
        self.device.read(D::view(&gradient, 0..len), &mut slot[..len]);
        self.slot = Some(gradient);
        tally
    }

    /// Sums the gradients and tallies of `lanes`, a node of the tree, in tree order.
    pub fn train_subtree(
        &mut self,
        step: &TrainStep<'_, D>,
        lanes: Range<u32>,
        gradient: &mut D::ViewMut<'_, f32>,
    ) -> Tally {
        if lanes.len() == 1 {
            return match step.pass {
                Pass::Gradient => self.train_lane(step, lanes.start, gradient),
                Pass::Curvature => self.measure_lane(step, lanes.start, gradient),
            };
        }
        let middle = tree::middle(&lanes);
        let mut tally = self.train_subtree(step, lanes.start..middle, gradient);
        // Nodes below this one are smaller, so that a level's memory is free when a node of that level needs it.
        let level = (middle - lanes.start).ilog2() as usize;
        let len = step.work.model.len();
        let mut right = self.take_right_half(level, len);
        tally.add(&self.train_subtree(step, middle..lanes.end, &mut D::view_mut(&mut right, 0..len)));
        let start = Instant::now();
        self.device.fold_add(D::slice_mut(gradient, 0..len), D::view(&right, 0..len));
        self.seconds.backward += start.elapsed();
        self.right_halves[level] = Some(right);
        tally
    }

    fn take_right_half(&mut self, level: usize, len: usize) -> D::Buffer<f32> {
        if self.right_halves.len() <= level {
            self.right_halves.resize_with(level + 1, || None);
        }
        self.right_halves[level].take().unwrap_or_else(|| self.device.zeros(len))
    }

    /// Sums the tallies of evaluation `lanes`, a node of the tree, in tree order: no gradient.
    pub fn evaluate_subtree(&mut self, evaluation: &Evaluation<'_, D>, lanes: Range<u32>) -> Tally {
        let Evaluation { work, split, .. } = *evaluation;
        if lanes.len() == 1 {
            if !evaluation.pulse.beats() {
                return Tally::new(measures::sums(work.layers.len()), measures::COUNTS);
            }
            let positions = lane_positions(0..work.dataset.len(split), lanes.start, work.micro_batch);
            self.load(work, split, None, positions);
            let sums = self.evaluate(work, evaluation.weights);
            return measures::evaluation_tally(&sums, self.labels.len() as u64, work.layers.len());
        }
        let middle = tree::middle(&lanes);
        let mut tally = self.evaluate_subtree(evaluation, lanes.start..middle);
        tally.add(&self.evaluate_subtree(evaluation, middle..lanes.end));
        tally
    }
}
