//! The second pass of each lane by itself: its gradient is taken where its own gradient leads up to, and blended with
//! that as the job says ([`super::super::ascent`]).

use std::slice;
use std::time::Instant;

use lockstep_kernels::device::Device;
use lockstep_kernels::moving_average::AverageStep;

use super::hand::Made;
use super::{LaneRunner, Row, TrainStep, Work};
use crate::model::Weights;
use crate::trainer::ascent::Ascent;

/// Memory for a pass above the weights.
pub(super) struct Above<D: Device> {
    parameters: D::Buffer<f32>,
    /// Of that pass, where the update takes of both.
    gradient: D::Buffer<f32>,
    /// Of that pass, which nobody reads.
    statistics: D::Buffer<f32>,
    /// All parameters as one part, and their squared norm.
    all: D::Parts,
    squared_norm: D::Buffer<f64>,
}

impl<D: Device> Above<D> {
    fn new(device: &mut D, work: &Work<D>, ascent: &Ascent) -> Self {
        let (parameters, statistics) = (work.model.parameters(), work.model.statistics());
        Self {
            parameters: device.zeros(parameters),
            gradient: device.zeros(if ascent.blends() { parameters } else { 0 }),
            statistics: device.zeros(statistics),
            all: device.parts(slice::from_ref(&(0..parameters))),
            squared_norm: device.zeros(1),
        }
    }

    /// Waits for `‖g‖²`, which decides where the second pass is.
    fn squared_norm(&mut self, device: &mut D, gradient: D::View<'_, f32>) -> f64 {
        device.squared_norms(&self.all, gradient, D::view_mut(&mut self.squared_norm, 0..1));
        let mut squared = [0.0];
        device.read(D::view(&self.squared_norm, 0..1), &mut squared);
        squared[0]
    }
}

impl<D: Device> LaneRunner<D> {
    /// From the loaded lane's gradient at the weights (sums over its samples, all parameters) to what it contributes. One
    /// that is not finite leads nowhere and stays, for who looks for such. The host waits for the norm, lane by lane.
    pub(super) fn second_pass(&mut self, step: &TrainStep<'_, D>, ascent: &Ascent, mut gradient: D::ViewMut<'_, f32>) {
        let (work, start) = (step.work, Instant::now());
        let (len, statistics) = (work.model.parameters(), work.model.statistics());
        let mut above = self.above.take().unwrap_or_else(|| Above::new(&mut self.device, work, ascent));
        let squared = above.squared_norm(&mut self.device, D::shared(D::slice_mut(&mut gradient, 0..len)));
        if !squared.is_finite() {
            self.above = Some(above);
            return;
        }
        let count = self.samples() as u64;
        let norm = squared.sqrt() / count as f64;
        let up = D::view_mut(&mut above.parameters, 0..len);
        let sum = D::shared(D::slice_mut(&mut gradient, 0..len));
        self.device.perturb(&ascent.step_up(count, norm), sum, step.weights.parameters, up);
        self.seconds.backward += start.elapsed();
        self.write_input(work);
        let parameters = D::view(&above.parameters, 0..len);
        let weights = Weights { parameters, statistics: D::slice(step.weights.statistics, 0..statistics) };
        let unread = D::view_mut(&mut above.statistics, 0..statistics);
        match ascent.weight(norm) {
            None => self.pass(step, weights, Row::Apart, (gradient, unread), &mut Made::untold()),
            Some(weight) => {
                let other = D::view_mut(&mut above.gradient, 0..len);
                self.pass(step, weights, Row::Apart, (other, unread), &mut Made::untold());
                let (blending, blend) = (Instant::now(), AverageStep { scale: 1.0, weight });
                self.device.moving_average(&blend, D::view(&above.gradient, 0..len), gradient);
                self.seconds.backward += blending.elapsed();
            }
        }
        self.above = Some(above);
    }
}
