//! LAMB's direction of 16 elements.

use super::Formula;
use crate::optimizer::MOST_VECTORS;
use crate::optimizer::lamb::Constants;
use crate::simd::Simd;

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
