//! SGD of 16 elements.

use super::Formula;
use crate::optimizer::MOST_VECTORS;
use crate::optimizer::sgd::Constants;
use crate::simd::Simd;

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
