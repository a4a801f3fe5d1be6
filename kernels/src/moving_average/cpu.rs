//! Moving averages on the CPU.

use super::{AverageStep, MovingAverage};
use crate::cpu::{Cpu, assert_len};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl MovingAverage for Cpu {
    fn moving_average(&mut self, step: &AverageStep, x: &[f32], average: &mut [f32]) {
        assert_len("x", x.len(), average.len());
        self.isa.run(Average { step, x, average });
    }
}

/// The point between `from` and `to` that is `weight` on the way.
#[inline(always)]
pub(crate) fn interpolate<S: Simd>(s: S, weight: f32, from: S::Vector, to: S::Vector) -> S::Vector {
    let way = s.sub(to, from);
    if weight < 0.5 { s.add(from, s.mul(s.splat(weight), way)) } else { s.sub(to, s.mul(way, s.splat(1.0 - weight))) }
}

struct Average<'a> {
    step: &'a AverageStep,
    x: &'a [f32],
    average: &'a mut [f32],
}

impl Kernel for Average<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (x, x_rest) = self.x.as_chunks();
        let (average, average_rest) = self.average.as_chunks_mut();
        for (x, average) in x.iter().zip(average) {
            average_pack(s, self.step, x, average);
        }
        let rest = x_rest.len();
        let (mut x, mut average) = ([0.0; WIDTH], [0.0; WIDTH]);
        x[..rest].copy_from_slice(x_rest);
        average[..rest].copy_from_slice(average_rest);
        average_pack(s, self.step, &x, &mut average);
        average_rest.copy_from_slice(&average[..rest]);
    }
}

#[inline(always)]
fn average_pack<S: Simd>(s: S, step: &AverageStep, x: &Pack, average: &mut Pack) {
    let x = s.mul(s.load(x), s.splat(step.scale));
    let behind = interpolate(s, step.weight, s.load(average), x);
    s.store(average, behind);
}
