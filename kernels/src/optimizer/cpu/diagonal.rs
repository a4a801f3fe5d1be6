//! Stochastic diagonal Levenberg–Marquardt of 16 elements.

use super::super::{Diagonal, MOST_VECTORS};
use super::Formula;
use crate::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Constants {
    rate: f32,
    mu: f32,
}

impl Constants {
    pub(super) fn of(rule: &Diagonal) -> Self {
        Self { rate: rule.learning_rate as f32, mu: rule.mu as f32 }
    }
}

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let step = s.div(s.splat(self.rate), s.add(s.splat(self.mu), state[0]));
        s.sub(w, s.mul(step, g))
    }
}
