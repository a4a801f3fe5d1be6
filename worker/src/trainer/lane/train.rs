//! One lane of a step: forward, loss and backward, or second derivatives.

use std::time::Instant;

use lockstep_kernels::device::Device;

use super::hand::Made;
use super::{LaneRunner, Row, TrainStep};
use crate::layers::MicroBatch;
use crate::model::{CurvatureMemory, Weights};
use crate::trainer::digest::digest_of;
#[cfg(feature = "fault-points")]
use crate::trainer::fault;

impl<D: Device> LaneRunner<D> {
    /// A lane's gradient, with its statistics behind it, and its row of measures. Where each lane has a second pass
    /// the gradient is what becomes of both, and norms are that gradient's; loss, answers and statistics are those at the
    /// weights.
    pub(super) fn train_lane(
        &mut self,
        step: &TrainStep<'_, D>,
        lane: u32,
        gradient: &mut D::ViewMut<'_, f32>,
        mut made: Made<'_, D>,
    ) {
        if !step.pulse.beats() {
            return;
        }
        let start = Instant::now();
        let samples = self.load_train_lane(step, lane);
        let is_empty = samples.count == 0;
        let row = self.rows.enter(lane, samples);
        self.seconds.data += start.elapsed();
        let len = step.work.model.len();
        if step.noise.is_some() {
            // What the pass makes is not yet the lane's.
            made.at = &[];
        }
        if is_empty {
            self.device.fill(0.0, D::slice_mut(gradient, 0..len));
        } else if self.repeats(step) {
            self.repeated_pass(step, row, gradient, &mut made);
        } else {
            self.whole_pass(step, row, gradient, &mut made);
        }
        let passed = Instant::now();
        if let Some(noise) = step.noise {
            let parameters = 0..step.work.model.parameters();
            self.device.scale(noise.factor(lane), D::slice_mut(gradient, parameters));
        }
        // Of one lane once in `cluster.replay_every` steps: the host waits for all of it.
        if step.replayed == Some(lane) {
            let view = D::shared(D::slice_mut(gradient, 0..len));
            self.lane_digest = Some(digest_of(&mut self.device, view, len));
        }
        made.tell(&mut self.device, gradient, len);
        self.seconds.backward += passed.elapsed();
    }

    /// Whether the lane is the same ops as another of as many samples, so that the device may repeat them as a whole.
    fn repeats(&self, step: &TrainStep<'_, D>) -> bool {
        // Where a step's samples are mixed, its loss is another op than a probe's.
        let is_other = step.is_probe() && step.work.mixing.is_some();
        self.device.repeats() && step.lane_ascent().is_none() && !step.is_faulty() && !is_other
    }

    /// As [`LaneRunner::whole_pass`], by the device's record of it if there is one, cut where `made` is told. The row
    /// differs from lane to lane, and comes in by a copy behind the rest.
    fn repeated_pass(
        &mut self,
        step: &TrainStep<'_, D>,
        row: Row,
        gradient: &mut D::ViewMut<'_, f32>,
        made: &mut Made<'_, D>,
    ) {
        let (start, model, at) = (Instant::now(), &step.work.model, made.at);
        let places = [
            D::shared(D::slice_mut(gradient, 0..model.len())),
            D::slice(step.weights.parameters, 0..model.parameters()),
            D::slice(step.weights.statistics, 0..model.statistics()),
        ];
        let is_on_record = self.device.repeat(self.samples(), at, &places);
        let mut cut = |device: &mut D, gradient: &mut D::ViewMut<'_, f32>, end: usize| {
            device.cut(|device| made.tell(device, gradient, end));
        };
        if is_on_record {
            at.iter().for_each(|&end| cut(&mut self.device, gradient, end));
        } else {
            self.whole_pass(step, Row::Apart, gradient, &mut Made { at, listener: Some(&mut cut) });
        }
        self.device.asked();
        if is_on_record {
            self.seconds.backward += start.elapsed();
        }
        self.rows.keep(&mut self.device, row);
    }

    /// The loaded lane's gradient, with its statistics behind it, and its measures.
    fn whole_pass(
        &mut self,
        step: &TrainStep<'_, D>,
        row: Row,
        gradient: &mut D::ViewMut<'_, f32>,
        made: &mut Made<'_, D>,
    ) {
        let work = step.work;
        let (len, parameters) = (work.model.len(), work.model.parameters());
        let (d_parameters, statistics) = D::split_mut(D::slice_mut(gradient, 0..len), parameters);
        if step.lane_ascent().is_some() || step.is_spoilt() {
            // What the pass makes is not yet the lane's.
            made.at = &[];
        }
        self.pass(step, step.weights, row, (d_parameters, statistics), made);
        if let Some(ascent) = step.lane_ascent() {
            self.second_pass(step, ascent, D::slice_mut(gradient, 0..parameters));
        }
        let passed = Instant::now();
        #[cfg(feature = "fault-points")]
        if step.spoilt {
            fault::spoil(&mut self.device, D::slice_mut(gradient, 0..1));
        }
        let view = D::shared(D::slice_mut(gradient, 0..len));
        self.device.squared_norms(&self.layers, view, self.rows.norms(row));
        self.seconds.backward += passed.elapsed();
    }

    /// Loads a lane; gives its row. None where nothing is to be computed: it isn't wanted, or has no samples, and then
    /// `vector` is zeros.
    pub(super) fn enter_lane(
        &mut self,
        step: &TrainStep<'_, D>,
        lane: u32,
        vector: &mut D::ViewMut<'_, f32>,
        made: &mut Made<'_, D>,
    ) -> Option<Row> {
        if !step.pulse.beats() {
            return None;
        }
        let samples = self.load_train_lane(step, lane);
        let is_empty = samples.count == 0;
        let row = self.rows.enter(lane, samples);
        if !is_empty {
            return Some(row);
        }
        let len = step.work.model.len();
        self.device.fill(0.0, D::slice_mut(vector, 0..len));
        made.tell(&mut self.device, vector, len);
        None
    }

    /// Writes the diagonal of the lane's second derivatives where its gradient would be.
    pub(super) fn measure_lane(
        &mut self,
        step: &TrainStep<'_, D>,
        lane: u32,
        second: &mut D::ViewMut<'_, f32>,
        mut made: Made<'_, D>,
    ) {
        let (work, len) = (step.work, step.work.model.len());
        let Some(row) = self.enter_lane(step, lane, second, &mut made) else { return };
        let (parameters, statistics) = D::split_mut(D::slice_mut(second, 0..len), work.model.parameters());
        self.forward(work, step.weights, row, statistics);
        let batch = MicroBatch { samples: self.samples(), keys: self.keys.view() };
        let memory = self
            .curvature
            .get_or_insert_with(|| CurvatureMemory::new(&self.device, &work.model, work.micro_batch as usize));
        let (device, criterion) = (&mut self.device, work.loss.criterion(work.classes));
        work.model.curvature(device, batch, step.weights, criterion, (&mut self.activations, memory), parameters);
        made.tell(&mut self.device, second, len);
    }

    /// Forward, loss and backward of the loaded samples at `weights`, which may not be the step's. `made` is told of the
    /// parameters' gradient as it comes, but not of the whole.
    pub(super) fn pass(
        &mut self,
        step: &TrainStep<'_, D>,
        weights: Weights<'_, D>,
        row: Row,
        (d_parameters, mut statistics): (D::ViewMut<'_, f32>, D::ViewMut<'_, f32>),
        made: &mut Made<'_, D>,
    ) {
        let (work, start) = (step.work, Instant::now());
        let all = 0..work.model.statistics();
        #[cfg(feature = "fault-points")]
        for _ in 1..step.times {
            self.forward(work, weights, row, D::slice_mut(&mut statistics, all.clone()));
        }
        self.forward(work, weights, row, D::slice_mut(&mut statistics, all));
        let forwarded = Instant::now();
        self.backward(work, weights, d_parameters, made);
        self.seconds.forward += forwarded - start;
        self.seconds.backward += forwarded.elapsed();
    }
}
