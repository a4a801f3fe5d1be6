//! Radial basis functions on the CPU: 16 samples at a time, by `LaneSums` over the inputs in order.

use super::{OutputDerivatives, RadialBasis, RadialBasisSize};
use crate::cpu::{Cpu, assert_len};
use crate::simd::sums::{LaneSums, Terms};
use crate::simd::{Kernel, Pack, Simd};

impl RadialBasis for Cpu {
    fn radial_basis_forward(&mut self, size: &RadialBasisSize, x: &[f32], centres: &[f32], y: &mut [f32]) {
        assert_len("centres", centres.len(), size.outputs * size.inputs);
        let x = self.layout.whole("x", x, size.samples, size.inputs);
        let mut y = self.layout.whole_out("y", y, size.samples, size.outputs);
        self.isa.run(Forward { size, x: &x, centres, y: &mut y });
    }

    fn radial_basis_backward_input(
        &mut self,
        size: &RadialBasisSize,
        x: &[f32],
        centres: &[f32],
        d_y: &[f32],
        d_x: &mut [f32],
    ) {
        assert_len("centres", centres.len(), size.outputs * size.inputs);
        let x = self.layout.whole("x", x, size.samples, size.inputs);
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.outputs);
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.inputs);
        self.isa.run(BackwardInput { size, x: &x, centres, d_y: &d_y, d_x: &mut d_x });
    }

    fn radial_basis_curvature_input(
        &mut self,
        size: &RadialBasisSize,
        x: &[f32],
        centres: &[f32],
        derivatives: OutputDerivatives<'_, Cpu>,
        h_x: &mut [f32],
    ) {
        assert_len("centres", centres.len(), size.outputs * size.inputs);
        let x = self.layout.whole("x", x, size.samples, size.inputs);
        let d_y = self.layout.whole("d_y", derivatives.first, size.samples, size.outputs);
        let h_y = self.layout.whole("h_y", derivatives.second, size.samples, size.outputs);
        let mut h_x = self.layout.whole_out("h_x", h_x, size.samples, size.inputs);
        self.isa.run(CurvatureInput { size, x: &x, centres, d_y: &d_y, h_y: &h_y, h_x: &mut h_x });
    }
}

struct Forward<'a> {
    size: &'a RadialBasisSize,
    x: &'a [Pack],
    centres: &'a [f32],
    y: &'a mut [Pack],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let RadialBasisSize { inputs, outputs, .. } = *self.size;
        for (group, y) in self.y.chunks_exact_mut(outputs.max(1)).enumerate() {
            let x = &self.x[group * inputs..][..inputs];
            for (o, y) in y.iter_mut().enumerate() {
                let mut sum = LaneSums::<1>::new();
                sum.add(s, inputs, &mut Squares { x, centre: &self.centres[o * inputs..][..inputs] });
                *y = sum.0[0].map(|sum| sum as f32);
            }
        }
    }
}

/// The sum of `(x − centre)²`.
struct Squares<'a> {
    x: &'a [Pack],
    centre: &'a [f32],
}

impl<S: Simd> Terms<S, 1> for Squares<'_> {
    #[inline(always)]
    fn at(&mut self, s: S, i: usize) -> [S::Vector; 1] {
        let difference = s.sub(s.load(&self.x[i]), s.splat(self.centre[i]));
        [s.mul(difference, difference)]
    }
}

struct BackwardInput<'a> {
    size: &'a RadialBasisSize,
    x: &'a [Pack],
    centres: &'a [f32],
    d_y: &'a [Pack],
    d_x: &'a mut [Pack],
}

impl Kernel for BackwardInput<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let RadialBasisSize { inputs, outputs, .. } = *self.size;
        for (group, d_x) in self.d_x.chunks_exact_mut(inputs.max(1)).enumerate() {
            let x = &self.x[group * inputs..][..inputs];
            let d_y = &self.d_y[group * outputs..][..outputs];
            for (i, d_x) in d_x.iter_mut().enumerate() {
                let x = s.load(&x[i]);
                let mut sum = s.splat(0.0);
                for (o, d_y) in d_y.iter().enumerate() {
                    let difference = s.sub(x, s.splat(self.centres[o * inputs + i]));
                    sum = s.fma(difference, s.load(d_y), sum);
                }
                s.store(d_x, s.add(sum, sum));
            }
        }
    }
}

struct CurvatureInput<'a> {
    size: &'a RadialBasisSize,
    x: &'a [Pack],
    centres: &'a [f32],
    d_y: &'a [Pack],
    h_y: &'a [Pack],
    h_x: &'a mut [Pack],
}

impl Kernel for CurvatureInput<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let RadialBasisSize { inputs, outputs, .. } = *self.size;
        for (group, h_x) in self.h_x.chunks_exact_mut(inputs.max(1)).enumerate() {
            let x = &self.x[group * inputs..][..inputs];
            let h_y = &self.h_y[group * outputs..][..outputs];
            let mut slope = s.splat(0.0);
            for d_y in &self.d_y[group * outputs..][..outputs] {
                slope = s.add(slope, s.load(d_y));
            }
            for (i, h_x) in h_x.iter_mut().enumerate() {
                let x = s.load(&x[i]);
                let mut sum = s.splat(0.0);
                for (o, h_y) in h_y.iter().enumerate() {
                    let difference = s.sub(x, s.splat(self.centres[o * inputs + i]));
                    let twice = s.add(difference, difference);
                    sum = s.fma(s.mul(twice, twice), s.load(h_y), sum);
                }
                s.store(h_x, s.max(s.splat(0.0), s.add(sum, s.add(slope, slope))));
            }
        }
    }
}
