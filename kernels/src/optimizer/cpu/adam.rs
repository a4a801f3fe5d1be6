//! Adam of 16 elements.

use super::super::{Adam, MOST_VECTORS};
use super::Formula;
use crate::moving_average::interpolate;
use crate::simd::Simd;

#[derive(Clone, Copy)]
pub(super) struct Constants {
    /// η / (1 − β₁ᵗ).
    rate: f32,
    /// √(1 − β₂ᵗ).
    root_correction: f32,
    epsilon: f32,
    moments: Moments,
}

impl Constants {
    pub(super) fn of(rule: &Adam) -> Self {
        let (correction, root_correction) = rule.corrections();
        Self {
            rate: (rule.learning_rate / correction) as f32,
            root_correction: root_correction as f32,
            epsilon: rule.epsilon as f32,
            moments: Moments::of(rule.beta1, rule.beta2),
        }
    }
}

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let [m, v, _] = state;
        self.moments.add(s, g, m, v);
        let root = s.add(s.div(s.sqrt(*v), s.splat(self.root_correction)), s.splat(self.epsilon));
        s.sub(w, s.div(s.mul(s.splat(self.rate), *m), root))
    }
}

/// The moving averages of gradients and squares.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    /// 1 − β₁.
    rest1: f32,
    beta2: f32,
    /// 1 − β₂.
    rest2: f32,
}

impl Moments {
    pub(super) fn of(beta1: f64, beta2: f64) -> Self {
        Self { rest1: (1.0 - beta1) as f32, beta2: beta2 as f32, rest2: (1.0 - beta2) as f32 }
    }

    #[inline(always)]
    pub(super) fn add<S: Simd>(&self, s: S, g: S::Vector, m: &mut S::Vector, v: &mut S::Vector) {
        *m = interpolate(s, self.rest1, *m, g);
        *v = s.add(s.mul(*v, s.splat(self.beta2)), s.mul(s.mul(s.splat(self.rest2), g), g));
    }
}
