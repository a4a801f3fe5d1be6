//! Stochastic diagonal Levenberg–Marquardt of 16 elements.

use super::Formula;
use crate::optimizer::MOST_VECTORS;
use crate::optimizer::diagonal::Constants;
use crate::simd::Simd;

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let step = s.div(s.splat(self.rate), s.add(s.splat(self.mu), state[0]));
        s.sub(w, s.mul(step, g))
    }
}
