//! LARS of 16 elements.

use super::super::{Lars, MOST_VECTORS};
use super::Formula;
use crate::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Constants {
    /// η·r.
    rate: f32,
    momentum: f32,
}

impl Constants {
    pub(super) fn of(rule: &Lars) -> Self {
        Self { rate: (rule.learning_rate * rule.trust_ratio) as f32, momentum: rule.momentum as f32 }
    }
}

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let step = s.mul(s.splat(self.rate), g);
        let velocity = s.add(s.mul(s.splat(self.momentum), state[0]), step);
        state[0] = velocity;
        s.sub(w, velocity)
    }
}
