//! Where sharpness-aware minimisation takes the gradient for the update: `w + ρ·g/‖g‖` (Foret et al. 2021, eq. 2).

use lockstep_kernels::device::Device;
use lockstep_kernels::perturb::PerturbStep;

use super::strips::Strip;
use super::{Optimizer, norms, strips};
use crate::trainer::crew::Devices;

impl<D: Device> Optimizer<D> {
    /// Overwrites `up`, each of the crew's devices a part. `gradient`: the sum over `count` samples of g, neither
    /// clipped nor with weight decay, as in the authors' code. All are over the parameters.
    pub fn step_up(
        &mut self,
        crew: &mut impl Devices<D>,
        count: u64,
        gradient: D::View<'_, f32>,
        parameters: D::View<'_, f32>,
        up: D::ViewMut<'_, f32>,
    ) {
        let norm = norms::of_all(&self.blocks.norms(crew, gradient)) / count as f64;
        let step = PerturbStep { count, scale: PerturbStep::scale(self.keys.sam, norm) };
        let mut up = Strip::<D>::new(up);
        let ranges = strips::ranges(self.len, crew.threads());
        let parts = ranges.map(|range| (up.cut(range.len()), range)).collect();
        crew.each_device(parts, |device, (up, range)| {
            device.perturb(&step, D::slice(gradient, range.clone()), D::slice(parameters, range), up);
        });
    }
}
