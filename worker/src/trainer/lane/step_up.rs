//! Sharpness-aware minimisation of each lane by itself: its gradient is taken where its own gradient leads up to
//! (m-sharpness; Foret et al. 2021, "Sharpness-aware minimization for efficiently improving generalization", section 4.1).

use std::time::Instant;

use lockstep_kernels::device::Device;
use lockstep_kernels::perturb::PerturbStep;

use super::{LaneRunner, TrainStep, Work};
use crate::model::Weights;

/// Memory for a pass above the weights.
pub(super) struct Above<D: Device> {
    parameters: D::Buffer<f32>,
    /// Of that pass, which nobody reads.
    statistics: D::Buffer<f32>,
}

impl<D: Device> Above<D> {
    fn new(device: &D, work: &Work<D>) -> Self {
        let (parameters, statistics) = (work.model.parameters(), work.model.statistics());
        Self { parameters: device.zeros(parameters), statistics: device.zeros(statistics) }
    }
}

impl<D: Device> LaneRunner<D> {
    /// From the loaded lane's gradient g at the weights w (sums over its samples, all parameters) to its gradient at
    /// `w + ρ·g/‖g‖`. One that is not finite leads nowhere and stays, for who looks for such.
    pub(super) fn step_up(&mut self, step: &TrainStep<'_, D>, rho: f64, mut gradient: D::ViewMut<'_, f32>) {
        let (work, start) = (step.work, Instant::now());
        let (len, statistics) = (work.model.parameters(), work.model.statistics());
        let squared = self.device.squared_norm(D::shared(D::slice_mut(&mut gradient, 0..len)));
        if !squared.is_finite() {
            return;
        }
        let count = self.labels.len() as u64;
        let scale = PerturbStep::scale(rho, squared.sqrt() / count as f64);
        let mut above = self.above.take().unwrap_or_else(|| Above::new(&self.device, work));
        let up = D::view_mut(&mut above.parameters, 0..len);
        let sum = D::shared(D::slice_mut(&mut gradient, 0..len));
        self.device.perturb(&PerturbStep { count, scale }, sum, step.weights.parameters, up);
        self.seconds.backward += start.elapsed();
        self.write_input(work);
        let parameters = D::view(&above.parameters, 0..len);
        let weights = Weights { parameters, statistics: D::slice(step.weights.statistics, 0..statistics) };
        self.pass(step, weights, gradient, D::view_mut(&mut above.statistics, 0..statistics));
        self.above = Some(above);
    }
}
