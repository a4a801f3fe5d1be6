//! The maximum of a window, and where it lies.

use crate::simd::Simd;

/// The largest value so far and its place: the first of equal ones; a NaN beats a number and nothing beats a NaN.
pub(crate) struct Maximum<S: Simd> {
    pub value: S::Vector,
    pub place: S::Vector,
}

impl<S: Simd> Maximum<S> {
    #[inline(always)]
    pub(crate) fn new(s: S, first: S::Vector) -> Self {
        Maximum { value: first, place: s.splat(0.0) }
    }

    #[inline(always)]
    pub(crate) fn offer(&mut self, s: S, candidate: S::Vector, place: usize) {
        let wins = s.both(s.greater_or_unordered(candidate, self.value), s.equal(self.value, self.value));
        self.value = s.select(wins, candidate, self.value);
        self.place = s.select(wins, s.splat(place as f32), self.place);
    }
}
