//! SGD on the CPU: one pass over the flat vectors.

use super::{Sgd, SgdStep};
use crate::cpu::{Cpu, assert_len};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl Sgd for Cpu {
    fn sgd_update(&mut self, step: &SgdStep, gradient: &[f32], velocity: &mut [f32], parameters: &mut [f32]) {
        assert_len("gradient", gradient.len(), parameters.len());
        assert_len("velocity", velocity.len(), parameters.len());
        self.isa.run(Update { step, gradient, velocity, parameters });
    }
}

struct Update<'a> {
    step: &'a SgdStep,
    gradient: &'a [f32],
    velocity: &'a mut [f32],
    parameters: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (gradient, gradient_rest) = self.gradient.as_chunks();
        let (velocity, velocity_rest) = self.velocity.as_chunks_mut();
        let (parameters, parameters_rest) = self.parameters.as_chunks_mut();
        for ((g, v), w) in gradient.iter().zip(velocity).zip(parameters) {
            update_pack(s, self.step, g, v, w);
        }
        let rest = gradient_rest.len();
        let (mut g, mut v, mut w) = ([0.0; WIDTH], [0.0; WIDTH], [0.0; WIDTH]);
        g[..rest].copy_from_slice(gradient_rest);
        v[..rest].copy_from_slice(velocity_rest);
        w[..rest].copy_from_slice(parameters_rest);
        update_pack(s, self.step, &g, &mut v, &mut w);
        velocity_rest.copy_from_slice(&v[..rest]);
        parameters_rest.copy_from_slice(&w[..rest]);
    }
}

/// Every product and sum is rounded by itself, as PyTorch does without fused optimisers.
#[inline(always)]
fn update_pack<S: Simd>(s: S, step: &SgdStep, gradient: &Pack, velocity: &mut Pack, parameters: &mut Pack) {
    let reciprocal = s.splat((1.0 / step.count as f64) as f32);
    let momentum = s.splat(step.momentum);
    let w = s.load(parameters);
    let g = s.add(s.mul(s.load(gradient), reciprocal), s.mul(s.splat(step.weight_decay), w));
    let v = s.add(s.mul(momentum, s.load(velocity)), g);
    let direction = if step.nesterov { s.add(g, s.mul(momentum, v)) } else { v };
    s.store(velocity, v);
    s.store(parameters, s.sub(w, s.mul(s.splat(step.learning_rate), direction)));
}
