//! Concatenation on the CPU: within a group of samples a part's features are one run of memory.

use super::{Concatenate, ConcatenateSize};
use crate::cpu::Cpu;

impl Concatenate for Cpu {
    fn concatenate_forward(&mut self, size: &ConcatenateSize, x: &[f32], y: &mut [f32]) {
        size.check();
        let x = self.layout.whole("x", x, size.samples, size.part);
        let mut y = self.layout.whole_mut("y", y, size.samples, size.features);
        for (x, y) in x.chunks_exact(size.part.max(1)).zip(y.chunks_exact_mut(size.features.max(1))) {
            y[size.first..][..size.part].copy_from_slice(x);
        }
    }

    fn concatenate_backward(&mut self, size: &ConcatenateSize, d_y: &[f32], d_x: &mut [f32]) {
        size.check();
        let d_y = self.layout.whole("d_y", d_y, size.samples, size.features);
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.part);
        for (d_x, d_y) in d_x.chunks_exact_mut(size.part.max(1)).zip(d_y.chunks_exact(size.features.max(1))) {
            d_x.copy_from_slice(&d_y[size.first..][..size.part]);
        }
    }
}
