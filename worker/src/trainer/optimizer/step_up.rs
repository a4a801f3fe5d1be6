//! Where a second pass over the batch takes the gradient: `w + r·g/‖g‖`.

use lockstep_kernels::device::Device;

use super::strips::Strip;
use super::{Optimizer, norms, strips};
use crate::trainer::ascent::Ascent;
use crate::trainer::crew::Devices;

impl<D: Device> Optimizer<D> {
    /// Overwrites `up`, each of the crew's devices a part; gives the norm of the mean gradient, ‖g‖. `gradient`: the sum
    /// over `count` samples of g, neither clipped nor with weight decay, as in the authors' code of sharpness-aware
    /// minimisation. All are over the parameters.
    pub fn step_up(
        &mut self,
        crew: &mut impl Devices<D>,
        (ascent, count): (&Ascent, u64),
        gradient: D::View<'_, f32>,
        parameters: D::View<'_, f32>,
        up: D::ViewMut<'_, f32>,
    ) -> f64 {
        let norm = norms::of_all(&self.blocks.norms(crew, gradient)) / count as f64;
        let step = ascent.step_up(count, norm);
        let mut up = Strip::<D>::new(up);
        let ranges = strips::ranges(self.len, crew.threads());
        let parts = ranges.map(|range| (up.cut(range.len()), range)).collect();
        crew.each_device(parts, |device, (up, range)| {
            device.perturb(&step, D::slice(gradient, range.clone()), D::slice(parameters, range), up);
        });
        norm
    }
}
