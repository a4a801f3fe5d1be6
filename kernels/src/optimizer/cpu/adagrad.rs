//! Adagrad of 16 elements.

use super::super::{Adagrad, MOST_VECTORS};
use super::Formula;
use crate::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Constants {
    rate: f32,
    epsilon: f32,
}

impl Constants {
    pub(super) fn of(rule: &Adagrad) -> Self {
        Self { rate: rule.decayed_rate() as f32, epsilon: rule.epsilon as f32 }
    }
}

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let sum = s.add(state[0], s.mul(g, g));
        state[0] = sum;
        let root = s.add(s.sqrt(sum), s.splat(self.epsilon));
        s.sub(w, s.div(s.mul(s.splat(self.rate), g), root))
    }
}
