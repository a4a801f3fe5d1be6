//! Adam of 16 elements.

use super::Formula;
use crate::moving_average::interpolate;
use crate::optimizer::MOST_VECTORS;
use crate::optimizer::adam::{Constants, Moments};
use crate::simd::Simd;

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let [m, v, _] = state;
        self.moments.add(s, g, m, v);
        let root = s.add(s.div(s.sqrt(*v), s.splat(self.root_correction)), s.splat(self.epsilon));
        s.sub(w, s.div(s.mul(s.splat(self.rate), *m), root))
    }
}

impl Moments {
    #[inline(always)]
    pub(super) fn add<S: Simd>(&self, s: S, g: S::Vector, m: &mut S::Vector, v: &mut S::Vector) {
        *m = interpolate(s, self.rest1, *m, g);
        *v = s.add(s.mul(*v, s.splat(self.beta2)), s.mul(s.mul(s.splat(self.rest2), g), g));
    }
}
