//! Element-wise sums on the CPU.

use super::Addition;
use crate::cpu::{Cpu, assert_len};
use crate::simd::{Kernel, Simd};

impl Addition for Cpu {
    fn add(&mut self, a: &[f32], b: &[f32], y: &mut [f32]) {
        assert_len("a", a.len(), y.len());
        assert_len("b", b.len(), y.len());
        self.isa.run(Add { a, b, y });
    }

    fn accumulate(&mut self, sum: &mut [f32], value: &[f32]) {
        assert_len("value", value.len(), sum.len());
        self.isa.run(Accumulate { sum, value });
    }
}

struct Add<'a> {
    a: &'a [f32],
    b: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (a, a_rest) = self.a.as_chunks();
        let (b, b_rest) = self.b.as_chunks();
        let (y, y_rest) = self.y.as_chunks_mut();
        for ((a, b), y) in a.iter().zip(b).zip(y) {
            s.store(y, s.add(s.load(a), s.load(b)));
        }
        for ((a, b), y) in a_rest.iter().zip(b_rest).zip(y_rest) {
            *y = a + b;
        }
    }
}

struct Accumulate<'a> {
    sum: &'a mut [f32],
    value: &'a [f32],
}

impl Kernel for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (sum, sum_rest) = self.sum.as_chunks_mut();
        let (value, value_rest) = self.value.as_chunks();
        for (sum, value) in sum.iter_mut().zip(value) {
            let total = s.add(s.load(sum), s.load(value));
            s.store(sum, total);
        }
        for (sum, value) in sum_rest.iter_mut().zip(value_rest) {
            *sum += value;
        }
    }
}
