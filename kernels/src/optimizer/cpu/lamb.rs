//! LAMB's direction of 16 elements.

use super::super::{Lamb, MOST_VECTORS};
use super::Formula;
use super::adam::Moments;
use crate::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Constants {
    /// 1 − β₁ᵗ.
    correction: f32,
    /// √(1 − β₂ᵗ).
    root_correction: f32,
    epsilon: f32,
    decay: f32,
    moments: Moments,
}

impl Constants {
    pub(super) fn of(rule: &Lamb) -> Self {
        let (correction, root_correction) = rule.corrections();
        Self {
            correction: correction as f32,
            root_correction: root_correction as f32,
            epsilon: rule.epsilon as f32,
            decay: rule.weight_decay as f32,
            moments: Moments::of(rule.beta1, rule.beta2),
        }
    }
}

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let [m, v, direction] = state;
        self.moments.add(s, g, m, v);
        let root = s.add(s.div(s.sqrt(*v), s.splat(self.root_correction)), s.splat(self.epsilon));
        let adam = s.div(s.div(*m, s.splat(self.correction)), root);
        *direction = s.add(adam, s.mul(s.splat(self.decay), w));
        w
    }
}
