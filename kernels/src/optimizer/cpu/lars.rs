//! LARS of 16 elements.

use super::Formula;
use crate::optimizer::MOST_VECTORS;
use crate::optimizer::lars::Constants;
use crate::simd::Simd;

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let step = s.mul(s.splat(self.rate), g);
        let velocity = s.add(s.mul(s.splat(self.momentum), state[0]), step);
        state[0] = velocity;
        s.sub(w, velocity)
    }
}
