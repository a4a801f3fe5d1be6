//! Second derivatives on the CPU: element by element.

use super::{Criterion, Curvature};
use crate::cpu::{Cpu, assert_len, samples_in_group};
use crate::cross_entropy::ClassesSize;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl Curvature for Cpu {
    fn square(&mut self, x: &[f32], y: &mut [f32]) {
        assert_len("x", x.len(), y.len());
        self.isa.run(Square { x, y });
    }

    fn scale(&mut self, factor: f32, x: &mut [f32]) {
        self.isa.run(Scale { factor, x });
    }

    fn output_curvature(&mut self, size: &ClassesSize, criterion: Criterion, d: &mut [f32]) {
        let mut d = self.layout.whole_mut("d", d, size.samples, size.classes);
        match criterion {
            Criterion::Quadratic { curvature } => quadratic(size, curvature, &mut d),
            Criterion::Logistic { scale } => self.isa.run(Logistic { reciprocal: 1.0 / scale, d: &mut d }),
        }
    }
}

struct Square<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Square<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (x, x_rest) = self.x.as_chunks();
        let (y, y_rest) = self.y.as_chunks_mut();
        for (x, y) in x.iter().zip(y) {
            let x = s.load(x);
            s.store(y, s.mul(x, x));
        }
        for (x, y) in x_rest.iter().zip(y_rest) {
            *y = x * x;
        }
    }
}

struct Scale<'a> {
    factor: f32,
    x: &'a mut [f32],
}

impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (x, rest) = self.x.as_chunks_mut();
        for x in x {
            let scaled = s.mul(s.load(x), s.splat(self.factor));
            s.store(x, scaled);
        }
        rest.iter_mut().for_each(|x| *x *= self.factor);
    }
}

fn quadratic(size: &ClassesSize, curvature: f32, d: &mut [Pack]) {
    for (group, d) in d.chunks_exact_mut(size.classes.max(1)).enumerate() {
        let mut values = [0.0; WIDTH];
        values[..samples_in_group(size.samples, group)].fill(curvature);
        d.fill(values);
    }
}

struct Logistic<'a> {
    /// 1 / scale.
    reciprocal: f32,
    d: &'a mut [Pack],
}

impl Kernel for Logistic<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        const MAGNITUDE: u32 = 0x7fff_ffff;
        let one = s.splat(1.0);
        for d in self.d {
            let gradient = s.bits_and(s.load(d), MAGNITUDE);
            // A gradient that was rounded above its bound has no curvature, not a negative one.
            let rest = s.max(s.splat(0.0), s.sub(one, s.mul(gradient, s.splat(self.reciprocal))));
            s.store(d, s.mul(gradient, rest));
        }
    }
}
