//! The step up on the CPU.

use super::{Perturb, PerturbStep};
use crate::cpu::{Cpu, assert_len};
use crate::simd::{Kernel, Simd};

impl Perturb for Cpu {
    fn perturb(&mut self, step: &PerturbStep, gradient: &[f32], parameters: &[f32], perturbed: &mut [f32]) {
        assert_len("gradient", gradient.len(), parameters.len());
        assert_len("perturbed", perturbed.len(), parameters.len());
        self.isa.run(StepUp { step, gradient, parameters, perturbed });
    }
}

struct StepUp<'a> {
    step: &'a PerturbStep,
    gradient: &'a [f32],
    parameters: &'a [f32],
    perturbed: &'a mut [f32],
}

impl Kernel for StepUp<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (reciprocal, scale) = (self.step.reciprocal(), self.step.scale);
        let (gradient, gradient_rest) = self.gradient.as_chunks();
        let (parameters, parameters_rest) = self.parameters.as_chunks();
        let (perturbed, perturbed_rest) = self.perturbed.as_chunks_mut();
        for ((to, g), w) in perturbed.iter_mut().zip(gradient).zip(parameters) {
            let g = s.mul(s.load(g), s.splat(reciprocal));
            let up = s.add(s.load(w), s.mul(g, s.splat(scale)));
            s.store(to, up);
        }
        for ((to, g), w) in perturbed_rest.iter_mut().zip(gradient_rest).zip(parameters_rest) {
            *to = w + g * reciprocal * scale;
        }
    }
}
