//! The step up on a GPU.

use super::{Perturb, PerturbStep};
use crate::cuda::launch::Grid;
use crate::cuda::{Cuda, View, ViewMut, assert_len};

impl Perturb for Cuda {
    fn perturb(
        &mut self,
        step: &PerturbStep,
        gradient: View<'_, f32>,
        parameters: View<'_, f32>,
        perturbed: ViewMut<'_, f32>,
    ) {
        let len = parameters.len();
        assert_len("gradient", gradient.len(), len);
        assert_len("perturbed", perturbed.len(), len);
        let (reciprocal, scale) = (step.reciprocal().into(), step.scale.into());
        let arguments = [reciprocal, scale, gradient.into(), parameters.into(), (&perturbed).into(), len.into()];
        self.launch("perturb", Grid::elements(len), &arguments);
    }
}
