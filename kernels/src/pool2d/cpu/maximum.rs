//! The maximum of a window, and where it lies.

use crate::simd::Simd;

/// The largest value so far and its place: the first of equal ones; a NaN beats a number and nothing beats a NaN.
#[derive(Clone, Copy)]
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
        self.offer_maximum(s, Maximum { value: candidate, place: s.splat(place as f32) });
    }

    /// Offers the largest value of places that all come later.
    #[inline(always)]
    pub(crate) fn offer_maximum(&mut self, s: S, other: Maximum<S>) {
        let wins = s.both(s.greater_or_unordered(other.value, self.value), s.equal(self.value, self.value));
        self.value = s.select(wins, other.value, self.value);
        self.place = s.select(wins, other.place, self.place);
    }
}
