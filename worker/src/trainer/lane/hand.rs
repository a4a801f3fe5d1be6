//! A thread's lanes: all of a hand's are asked for before the host waits for what they come to. Inner nodes of the tree
//! add what their two halves come to, from the vector's front on as far as the right half is made.

use std::ops::Range;
use std::time::Instant;

use lockstep_collective::{Hand, Subtree, Tally, tree};
use lockstep_kernels::device::Device;

use super::load::lane_positions;
use super::{Change, Evaluation, LaneRunner, Pass, TrainStep, Work};
use crate::model::{Tell, Weights};
use crate::trainer::measures;

/// Who is told how far a vector is made, from its front on.
pub(super) struct Made<'m, D: Device> {
    /// Where among the parameters to tell it at once, in ascending order; of the whole vector it is told anyway.
    pub at: &'m [usize],
    /// Takes the device, the vector, and up to where it is made; none where nobody waits for it.
    pub listener: Option<&'m mut Tell<'m, D>>,
}

impl<D: Device> Made<'_, D> {
    /// For what nobody waits for.
    pub fn untold() -> Self {
        Self { at: &[], listener: None }
    }

    /// The vector is made up to `end`.
    pub fn tell(&mut self, device: &mut D, vector: &mut D::ViewMut<'_, f32>, end: usize) {
        if let Some(listener) = &mut self.listener {
            listener(device, vector, end);
        }
    }
}

impl<D: Device> LaneRunner<D> {
    /// Sums the gradients and tallies of a hand's subtrees where they go.
    pub fn train_hand(&mut self, step: &TrainStep<'_, D>, mut hand: Hand<'_>) {
        self.rows.start(&self.device, hand.lanes);
        for Subtree { lanes, gradient, .. } in &mut hand.subtrees {
            self.train_slot(step, lanes.clone(), gradient);
        }
        self.read_rows();
        for Subtree { lanes, tally, .. } in hand.subtrees {
            *tally = self.tally(step, lanes);
        }
    }

    /// Sums the gradients and tallies of `lanes`, a node of the tree, in tree order.
    pub fn train_subtree(
        &mut self,
        step: &TrainStep<'_, D>,
        lanes: Range<u32>,
        gradient: &mut D::ViewMut<'_, f32>,
    ) -> Tally {
        self.rows.start(&self.device, lanes.clone());
        self.sum_gradients(step, lanes.clone(), gradient, Made::untold());
        self.read_rows();
        self.tally(step, lanes)
    }

    /// The same in the device's memory: gradients go to the fronts of `slots`, one for each subtree. `made` is told when
    /// all are made up to one of the ends `at`, while a lane goes on, with the slots but for the last and a view of that;
    /// and with all slots when they are whole.
    pub fn train_hand_into(
        &mut self,
        step: &TrainStep<'_, D>,
        hand: Hand<'_>,
        slots: &mut [D::Buffer<f32>],
        at: &[usize],
        made: &mut impl FnMut(&mut D, &[D::Buffer<f32>], Option<(D::View<'_, f32>, usize)>),
    ) {
        let len = step.work.model.len();
        self.rows.start(&self.device, hand.lanes);
        let last = hand.subtrees.len().saturating_sub(1);
        for (index, Subtree { lanes, .. }) in hand.subtrees.iter().enumerate() {
            let (before, rest) = slots.split_at_mut(index);
            let mut slot = D::view_mut(&mut rest[0], 0..len);
            let mut tell = |device: &mut D, slot: &mut D::ViewMut<'_, f32>, end: usize| {
                if end < len {
                    made(device, before, Some((D::shared(D::slice_mut(slot, 0..end)), end)));
                }
            };
            let told = if index == last { Made { at, listener: Some(&mut tell) } } else { Made::untold() };
            self.sum_gradients(step, lanes.clone(), &mut slot, told);
        }
        made(&mut self.device, &slots[..hand.subtrees.len()], None);
        self.read_rows();
        for Subtree { lanes, tally, .. } in hand.subtrees {
            *tally = self.tally(step, lanes);
        }
    }

    /// Sums the tallies of a hand's evaluation lanes where they go: there is no gradient.
    pub fn evaluate_hand(&mut self, evaluation: &Evaluation<'_, D>, hand: Hand<'_>) {
        self.evaluate_lanes(evaluation, hand.lanes);
        for Subtree { lanes, tally, .. } in hand.subtrees {
            *tally = self.rows.tally(lanes, &|measures| measures::evaluation_tally(measures, evaluation.flags));
        }
    }

    /// Sums the tallies of evaluation `lanes`, a node of the tree, in tree order.
    pub fn evaluate_subtree(&mut self, evaluation: &Evaluation<'_, D>, lanes: Range<u32>) -> Tally {
        self.evaluate_lanes(evaluation, lanes.clone());
        self.rows.tally(lanes, &|measures| measures::evaluation_tally(measures, evaluation.flags))
    }

    fn read_rows(&mut self) {
        let start = Instant::now();
        self.rows.read(&mut self.device);
        self.seconds.backward += start.elapsed();
    }

    fn tally(&self, step: &TrainStep<'_, D>, lanes: Range<u32>) -> Tally {
        self.rows.tally(lanes, &|measures| match step.pass {
            Pass::Gradient if step.is_probe() => measures::probe_tally(measures, step.flags),
            Pass::Gradient => measures::training_tally(measures, step.flags),
            Pass::Curvature => measures::curvature_tally(measures),
            Pass::Product => measures::evaluation_tally(measures, step.flags),
        })
    }

    /// Sums the gradients of `lanes`, a node of the tree, into a slot of the host's memory.
    fn train_slot(&mut self, step: &TrainStep<'_, D>, lanes: Range<u32>, slot: &mut [f32]) {
        let slot = match D::host_view_mut(slot) {
            Ok(mut view) => return self.sum_gradients(step, lanes, &mut view, Made::untold()),
            Err(slot) => slot,
        };
        let len = step.work.model.len();
        let mut gradient = self.slot.take().unwrap_or_else(|| self.device.zeros(len));
        self.sum_gradients(step, lanes, &mut D::view_mut(&mut gradient, 0..len), Made::untold());
        let start = Instant::now();
        self.device.read(D::view(&gradient, 0..len), &mut slot[..len]);
        self.seconds.backward += start.elapsed();
        self.slot = Some(gradient);
    }

    /// Sums the gradients of `lanes`, a node of the tree, in tree order.
    fn sum_gradients(
        &mut self,
        step: &TrainStep<'_, D>,
        lanes: Range<u32>,
        gradient: &mut D::ViewMut<'_, f32>,
        mut made: Made<'_, D>,
    ) {
        if lanes.len() == 1 {
            return match step.pass {
                Pass::Gradient => self.train_lane(step, lanes.start, gradient, made),
                Pass::Curvature => self.measure_lane(step, lanes.start, gradient, made),
                Pass::Product => self.product_lane(step, lanes.start, gradient, made),
            };
        }
        let middle = tree::middle(&lanes);
        self.sum_gradients(step, lanes.start..middle, gradient, Made::untold());
        // Nodes below this one are smaller, so that a level's memory is free when a node of that level needs it.
        let level = (middle - lanes.start).ilog2() as usize;
        let len = step.work.model.len();
        let mut right = self.take_right_half(level, len);
        let at = made.at;
        let mut added = 0;
        let mut add = |device: &mut D, right: &mut D::ViewMut<'_, f32>, end: usize| {
            let value = D::shared(D::slice_mut(right, added..end));
            device.fold_add(D::slice_mut(gradient, added..end), value);
            added = end;
            made.tell(device, gradient, end);
        };
        let made = Made { at, listener: Some(&mut add) };
        self.sum_gradients(step, middle..lanes.end, &mut D::view_mut(&mut right, 0..len), made);
        self.right_halves[level] = Some(right);
    }

    fn take_right_half(&mut self, level: usize, len: usize) -> D::Buffer<f32> {
        if self.right_halves.len() <= level {
            self.right_halves.resize_with(level + 1, || None);
        }
        self.right_halves[level].take().unwrap_or_else(|| self.device.zeros(len))
    }

    /// Changes the loaded lane's images.
    fn change(&mut self, work: &Work<D>, weights: Weights<'_, D>, change: &Change) {
        match (change, &work.attacked) {
            (Change::Corruption(corruption), _) => self.corrupt(work, corruption),
            (Change::Attack(epsilon), Some(model)) => self.attack(work, model, weights, *epsilon),
            (Change::Attack(_), None) => unreachable!("jobs with such probes have the way to the input"),
        }
    }

    fn evaluate_lanes(&mut self, evaluation: &Evaluation<'_, D>, lanes: Range<u32>) {
        let Evaluation { work, split, .. } = *evaluation;
        self.rows.start(&self.device, lanes.clone());
        for lane in lanes {
            if !evaluation.pulse.beats() {
                break;
            }
            let positions = lane_positions(evaluation.positions.clone(), lane, work.micro_batch);
            let samples = self.load(work, split, None, positions.map(|position| (position, position)));
            self.skipped.extend(&samples.skipped);
            let is_empty = samples.count == 0;
            if let (Some(change), false) = (&evaluation.change, is_empty) {
                self.change(work, evaluation.weights, change);
            }
            let row = self.rows.enter(lane, samples);
            if !is_empty {
                self.evaluate(work, evaluation.weights, row);
            }
        }
        self.rows.read(&mut self.device);
    }
}
