//! Adagrad of 16 elements.

use super::Formula;
use crate::optimizer::MOST_VECTORS;
use crate::optimizer::adagrad::Constants;
use crate::simd::Simd;

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let sum = s.add(state[0], s.mul(g, g));
        state[0] = sum;
        let root = s.add(s.sqrt(sum), s.splat(self.epsilon));
        s.sub(w, s.div(s.mul(s.splat(self.rate), g), root))
    }
}
