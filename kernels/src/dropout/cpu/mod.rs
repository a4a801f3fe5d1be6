//! Dropout on the CPU: four features of 16 samples at a time.

mod philox;

use super::{Dropout, DropoutSize};
use crate::cpu::{Cpu, samples_in_group};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl Dropout for Cpu {
    fn dropout_forward(&mut self, size: &DropoutSize, keys: &[u64], x: &[f32], y: &mut [f32]) {
        size.check(keys.len());
        let x = self.layout.whole("x", x, size.samples, size.features);
        let mut y = self.layout.whole_out("y", y, size.samples, size.features);
        self.isa.run(Forward { size, keys, x: &x, y: &mut y });
    }

    fn dropout_backward(&mut self, size: &DropoutSize, keys: &[u64], d: &mut [f32]) {
        size.check(keys.len());
        let mut d = self.layout.whole_mut("d", d, size.samples, size.features);
        self.isa.run(Backward { size, keys, d: &mut d });
    }
}

struct Forward<'a> {
    size: &'a DropoutSize,
    keys: &'a [u64],
    x: &'a [Pack],
    y: &'a mut [Pack],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let features = self.size.features.max(1);
        for (group, (x, y)) in self.x.chunks_exact(features).zip(self.y.chunks_exact_mut(features)).enumerate() {
            let masks = Masks::new(self.size, self.keys, group);
            for (block, (x, y)) in x.chunks(4).zip(y.chunks_mut(4)).enumerate() {
                for ((x, y), mask) in x.iter().zip(y).zip(&masks.block(block)) {
                    s.store(y, s.mul(s.load(x), s.load(mask)));
                }
            }
        }
    }
}

struct Backward<'a> {
    size: &'a DropoutSize,
    keys: &'a [u64],
    d: &'a mut [Pack],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (group, d) in self.d.chunks_exact_mut(self.size.features.max(1)).enumerate() {
            let masks = Masks::new(self.size, self.keys, group);
            for (block, d) in d.chunks_mut(4).enumerate() {
                for (d, mask) in d.iter_mut().zip(&masks.block(block)) {
                    let d_x = s.mul(s.load(d), s.load(mask));
                    s.store(d, d_x);
                }
            }
        }
    }
}

/// The masks of a group of samples: `1 / (1 − p)` where a value is kept; 0 where it is dropped, or padding.
struct Masks {
    keys: [philox::Words; 2],
    /// Words below it drop.
    threshold: u32,
    factors: Pack,
}

impl Masks {
    fn new(size: &DropoutSize, keys: &[u64], group: usize) -> Masks {
        let samples = samples_in_group(size.samples, group);
        let probability = f64::from(size.probability);
        let mut factors = [0.0; WIDTH];
        factors[..samples].fill((1.0 / (1.0 - probability)) as f32);
        let keys = philox::split(&keys[group * WIDTH..][..samples]);
        Masks { keys, threshold: (probability * 2f64.powi(32)) as u32, factors }
    }

    /// Masks of the features `4 · block` to `4 · block + 3`.
    #[inline(always)]
    fn block(&self, block: usize) -> [Pack; 4] {
        let words = philox::block(self.keys, block as u32);
        let mut masks = [self.factors; 4];
        for (mask, words) in masks.iter_mut().zip(&words) {
            for i in 0..WIDTH {
                mask[i] = if words[i] < self.threshold { 0.0 } else { mask[i] };
            }
        }
        masks
    }
}
