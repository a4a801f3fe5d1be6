//! Sharpness-aware minimisation of each lane by itself: its gradient is taken where its own gradient leads up to
//! (m-sharpness; Foret et al. 2021, "Sharpness-aware minimization for efficiently improving generalization", section 4.1).

use std::slice;
use std::time::Instant;

use lockstep_kernels::device::Device;
use lockstep_kernels::perturb::PerturbStep;

use super::hand::Made;
use super::{LaneRunner, Row, TrainStep, Work};
use crate::model::Weights;

/// Memory for a pass above the weights.
pub(super) struct Above<D: Device> {
    parameters: D::Buffer<f32>,
    /// Of that pass, which nobody reads.
    statistics: D::Buffer<f32>,
    /// All parameters as one part, and their squared norm.
    all: D::Parts,
    squared_norm: D::Buffer<f64>,
}

impl<D: Device> Above<D> {
    fn new(device: &mut D, work: &Work<D>) -> Self {
        let (parameters, statistics) = (work.model.parameters(), work.model.statistics());
        Self {
            parameters: device.zeros(parameters),
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
    /// From the loaded lane's gradient g at the weights w (sums over its samples, all parameters) to its gradient at
    /// `w + ρ·g/‖g‖`. One that is not finite leads nowhere and stays, for who looks for such. The host waits for the
    /// norm, lane by lane.
    pub(super) fn step_up(&mut self, step: &TrainStep<'_, D>, rho: f64, mut gradient: D::ViewMut<'_, f32>) {
        let (work, start) = (step.work, Instant::now());
        let (len, statistics) = (work.model.parameters(), work.model.statistics());
        let mut above = self.above.take().unwrap_or_else(|| Above::new(&mut self.device, work));
        let squared = above.squared_norm(&mut self.device, D::shared(D::slice_mut(&mut gradient, 0..len)));
        if !squared.is_finite() {
            self.above = Some(above);
            return;
        }
        let count = self.samples() as u64;
        let scale = PerturbStep::scale(rho, squared.sqrt() / count as f64);
        let up = D::view_mut(&mut above.parameters, 0..len);
        let sum = D::shared(D::slice_mut(&mut gradient, 0..len));
        self.device.perturb(&PerturbStep { count, scale }, sum, step.weights.parameters, up);
        self.seconds.backward += start.elapsed();
        self.write_input(work);
        let parameters = D::view(&above.parameters, 0..len);
        let weights = Weights { parameters, statistics: D::slice(step.weights.statistics, 0..statistics) };
        let unread = D::view_mut(&mut above.statistics, 0..statistics);
        self.pass(step, weights, Row::Apart, (gradient, unread), &mut Made::untold());
        self.above = Some(above);
    }
}
