//! SGD of 16 elements.

use super::super::{MOST_VECTORS, Sgd};
use super::Formula;
use crate::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Constants {
    rate: f32,
    momentum: f32,
    /// 1 − dampening.
    kept: f32,
    nesterov: bool,
}

impl Constants {
    pub(super) fn of(rule: &Sgd) -> Self {
        let dampening = if rule.steps == 0 { 0.0 } else { rule.dampening };
        Self {
            rate: rule.learning_rate as f32,
            momentum: rule.momentum as f32,
            kept: (1.0 - dampening) as f32,
            nesterov: rule.nesterov,
        }
    }
}

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let mut direction = g;
        if self.momentum > 0.0 {
            let momentum = s.splat(self.momentum);
            let v = s.add(s.mul(momentum, state[0]), s.mul(s.splat(self.kept), g));
            state[0] = v;
            direction = if self.nesterov { s.add(g, s.mul(momentum, v)) } else { v };
        }
        s.sub(w, s.mul(s.splat(self.rate), direction))
    }
}
