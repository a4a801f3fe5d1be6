//! Pixel conversion on the CPU: 16 samples × 16 pixels are converted row by row and turned in registers.

use super::{Pixels, PixelsSize};
use crate::cpu::{Cpu, assert_len, samples_in_group};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl Pixels for Cpu {
    fn pixels_forward(&mut self, size: &PixelsSize, pixels: &[u8], y: &mut [f32]) {
        assert_len("pixels", pixels.len(), size.samples * size.features);
        let mut y = self.layout.whole_out("y", y, size.samples, size.features);
        self.isa.run(Forward { size, pixels, y: &mut y });
    }
}

struct Forward<'a> {
    size: &'a PixelsSize,
    pixels: &'a [u8],
    y: &'a mut [Pack],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let features = self.size.features;
        for (group, y) in self.y.chunks_exact_mut(features.max(1)).enumerate() {
            let samples = samples_in_group(self.size.samples, group);
            let pixels = &self.pixels[group * WIDTH * features..][..samples * features];
            for (block, y) in y.chunks_mut(WIDTH).enumerate() {
                let (scale, shift) = levels(s, self.size, block * WIDTH);
                let mut rows = [s.splat(0.0); WIDTH];
                for (row, pixels) in rows.iter_mut().zip(pixels.chunks_exact(features)) {
                    let pixels = &pixels[block * WIDTH..];
                    *row = match pixels.first_chunk() {
                        Some(pixels) => s.fma(s.load_bytes(pixels), scale, shift),
                        None => {
                            let mut last = [0; WIDTH];
                            last[..pixels.len()].copy_from_slice(pixels);
                            s.fma(s.load_bytes(&last), scale, shift)
                        }
                    };
                }
                let columns = s.transpose(rows);
                for (y, column) in y.iter_mut().zip(columns) {
                    s.store(y, column);
                }
            }
        }
    }
}

/// Factors and summands of the block of values that starts with `first`: nearly always one channel's.
#[inline(always)]
fn levels<S: Simd>(s: S, size: &PixelsSize, first: usize) -> (S::Vector, S::Vector) {
    if size.channel(first) == size.channel(first + WIDTH - 1) {
        let (scale, shift) = size.level(first);
        return (s.splat(scale), s.splat(shift));
    }
    let each: [(f32, f32); WIDTH] = std::array::from_fn(|i| size.level(first + i));
    (s.load(&each.map(|(scale, _)| scale)), s.load(&each.map(|(_, shift)| shift)))
}
