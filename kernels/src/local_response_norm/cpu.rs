//! Local response normalisation on the CPU: every sum over neighbouring channels anew, channels in order.

use std::ops::Range;

use super::{LocalResponseNorm, LocalResponseNormSize};
use crate::cpu::{Cpu, Scratch};
use crate::simd::{Kernel, Pack, Simd, math};

impl LocalResponseNormSize {
    /// The channels that channel `c` is divided by.
    fn neighbours(&self, c: usize) -> Range<usize> {
        c.saturating_sub(self.size / 2)..self.channels.min(c + (self.size - 1) / 2 + 1)
    }

    /// The channels that channel `c` counts for.
    fn counts_for(&self, c: usize) -> Range<usize> {
        c.saturating_sub((self.size - 1) / 2)..self.channels.min(c + self.size / 2 + 1)
    }
}

impl LocalResponseNorm for Cpu {
    fn local_response_norm_forward(&mut self, size: &LocalResponseNormSize, x: &[f32], y: &mut [f32]) {
        size.check();
        let x = self.layout.whole("x", x, size.samples, size.features());
        let mut y = self.layout.whole_out("y", y, size.samples, size.features());
        self.isa.run(Forward { size, x: &x, y: &mut y });
    }

    fn local_response_norm_backward(&mut self, size: &LocalResponseNormSize, x: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        size.check();
        let x = self.layout.whole("x", x, size.samples, size.features());
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.features());
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.features());
        self.isa.run(Backward { size, x: &x, d_y: &d_y, d_x: &mut d_x, scratch: &mut self.scratch });
    }
}

struct Forward<'a> {
    size: &'a LocalResponseNormSize,
    x: &'a [Pack],
    y: &'a mut [Pack],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { size, x, y } = self;
        let features = size.features().max(1);
        for (x, y) in x.chunks_exact(features).zip(y.chunks_exact_mut(features)) {
            for c in 0..size.channels {
                for place in 0..size.plane {
                    let divisor = divisor(s, size, x, c, place);
                    let i = c * size.plane + place;
                    s.store(&mut y[i], s.div(s.load(&x[i]), power(s, divisor, size.beta)));
                }
            }
        }
    }
}

struct Backward<'a> {
    size: &'a LocalResponseNormSize,
    x: &'a [Pack],
    d_y: &'a [Pack],
    d_x: &'a mut [Pack],
    scratch: &'a mut Scratch,
}

/// Places of the plane that all channels go through together, so that what is noted of them stays in the cache.
const PLACES: usize = 16;

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward { size, x, d_y, d_x, scratch } = self;
        let features = size.features().max(1);
        let shares = scratch.gradient.packs(size.channels * PLACES);
        let factor = 2.0 * f64::from(size.alpha) * f64::from(size.beta) / size.size as f64;
        let factor = s.splat(-factor as f32);
        let groups = x.chunks_exact(features).zip(d_y.chunks_exact(features));
        for ((x, d_y), d_x) in groups.zip(d_x.chunks_exact_mut(features)) {
            for first in (0..size.plane).step_by(PLACES) {
                let places = PLACES.min(size.plane - first);
                for c in 0..size.channels {
                    for place in 0..places {
                        let i = c * size.plane + first + place;
                        let divisor = divisor(s, size, x, c, first + place);
                        let direct = s.div(s.load(&d_y[i]), power(s, divisor, size.beta));
                        s.store(&mut d_x[i], direct);
                        let share = s.div(s.mul(direct, s.load(&x[i])), divisor);
                        s.store(&mut shares[c * PLACES + place], share);
                    }
                }
                for c in 0..size.channels {
                    for place in 0..places {
                        let mut sum = s.splat(0.0);
                        for other in size.counts_for(c) {
                            sum = s.add(sum, s.load(&shares[other * PLACES + place]));
                        }
                        let i = c * size.plane + first + place;
                        let d = s.fma(s.mul(factor, s.load(&x[i])), sum, s.load(&d_x[i]));
                        s.store(&mut d_x[i], d);
                    }
                }
            }
        }
    }
}

/// `k + α/s · Σ x²` of channel `c` at `place`.
#[inline(always)]
fn divisor<S: Simd>(s: S, size: &LocalResponseNormSize, x: &[Pack], c: usize, place: usize) -> S::Vector {
    let mut squares = s.splat(0.0);
    for neighbour in size.neighbours(c) {
        let x = s.load(&x[neighbour * size.plane + place]);
        squares = s.fma(x, x, squares);
    }
    s.fma(s.splat((f64::from(size.alpha) / size.size as f64) as f32), squares, s.splat(size.k))
}

/// `x^exponent` for positive x. Within 2 ulp for 3/4, the exponent of the paper; otherwise the logarithm's rounding
/// counts as often as the result has powers of e.
#[inline(always)]
fn power<S: Simd>(s: S, x: S::Vector, exponent: f32) -> S::Vector {
    if exponent == 0.75 {
        let root = s.sqrt(x);
        s.mul(root, s.sqrt(root))
    } else {
        math::exp(s, s.mul(s.splat(exponent), math::log(s, x)))
    }
}
