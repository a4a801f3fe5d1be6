//! RMSprop of 16 elements.

use super::Formula;
use crate::moving_average::interpolate;
use crate::optimizer::MOST_VECTORS;
use crate::optimizer::rmsprop::Constants;
use crate::simd::Simd;

impl Formula for Constants {
    #[inline(always)]
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector {
        let [square, mean, velocity] = state;
        *square = s.add(s.mul(*square, s.splat(self.alpha)), s.mul(s.mul(s.splat(self.rest), g), g));
        let mut spread = *square;
        if self.centered {
            *mean = interpolate(s, self.rest, *mean, g);
            // The bound comes first: max then keeps a NaN.
            spread = s.max(s.splat(0.0), s.sub(*square, s.mul(*mean, *mean)));
        }
        let root = s.add(s.sqrt(spread), s.splat(self.epsilon));
        let rate = s.splat(self.rate);
        if self.momentum > 0.0 {
            *velocity = s.add(s.mul(s.splat(self.momentum), *velocity), s.div(g, root));
            s.sub(w, s.mul(rate, *velocity))
        } else {
            s.sub(w, s.div(s.mul(rate, g), root))
        }
    }
}
