//! The four pixels of a window for a block of output channels in registers, then their maximum.

use super::{pooled_height, pooled_width};
use crate::conv2d::Conv2dSize;
use crate::conv2d::cpu::direct::{Geometry, pack_weights};
use crate::conv2d::cpu::strip::padded_group;
use crate::cpu::Scratch;
use crate::pool2d::cpu::Maximum;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

pub(super) struct Forward<'a> {
    pub size: &'a Conv2dSize,
    pub x: &'a [Pack],
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub y: &'a mut [Pack],
    pub choice: &'a mut [[u8; WIDTH]],
    pub scratch: &'a mut Scratch,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match (S::MANY_REGISTERS, self.size.out_channels % 6) {
            (false, _) => self.groups::<S, 1>(s),
            (true, 0) => self.groups::<S, 6>(s),
            (true, _) => self.groups::<S, 4>(s),
        }
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn groups<S: Simd, const C: usize>(self, s: S) {
        let size = self.size;
        let g = Geometry::of_forward(size);
        let window = size.in_channels * size.kernel * size.kernel;
        let weights = self.scratch.weights.numbers(g.packed_weights(C));
        let weights = pack_weights::<C>(&g, self.weight, weights);
        let pooled_plane = pooled_height(size) * pooled_width(size);
        if pooled_plane * size.out_channels == 0 {
            return;
        }
        let features = size.out_channels * pooled_plane;
        let out = self.y.chunks_exact_mut(features).zip(self.choice.chunks_exact_mut(features));
        for (x, (y, choice)) in self.x.chunks_exact(size.in_features().max(1)).zip(out) {
            let x = padded_group(size, x, &mut self.scratch.input);
            let blocks = y.chunks_mut(C * pooled_plane).zip(choice.chunks_mut(C * pooled_plane));
            for (block, (y, choice)) in blocks.enumerate() {
                let weights = &weights[block * window..][..window];
                let mut start = [0.0; C];
                for (start, bias) in start.iter_mut().zip(&self.bias[block * C..]) {
                    *start = *bias;
                }
                channels::<S, C>(s, size, x, (weights, &start), (y, choice));
            }
        }
    }
}

/// All windows of a block of channels, of one group.
#[inline(always)]
fn channels<S: Simd, const C: usize>(
    s: S,
    size: &Conv2dSize,
    x: &[Pack],
    weights: (&[[f32; C]], &[f32; C]),
    (y, choice): (&mut [Pack], &mut [[u8; WIDTH]]),
) {
    let (pooled_height, pooled_width) = (pooled_height(size), pooled_width(size));
    let plane = pooled_height * pooled_width;
    for i in 0..pooled_height {
        for j in 0..pooled_width {
            let pixels = window::<S, C>(s, size, x, weights, (2 * i, 2 * j));
            for c in 0..C {
                let output = c * plane + i * pooled_width + j;
                // Channels that do not exist have no place.
                if let (Some(y), Some(choice)) = (y.get_mut(output), choice.get_mut(output)) {
                    let mut maximum = Maximum::new(s, pixels[c][0]);
                    for place in 1..4 {
                        maximum.offer(s, pixels[c][place], place);
                    }
                    s.store(y, maximum.value);
                    s.store_bytes(choice, maximum.place);
                }
            }
        }
    }
}

/// The four pixels of a window, row by row, of `C` channels.
#[inline(always)]
fn window<S: Simd, const C: usize>(
    s: S,
    size: &Conv2dSize,
    x: &[Pack],
    (weights, start): (&[[f32; C]], &[f32; C]),
    (i, j): (usize, usize),
) -> [[S::Vector; 4]; C] {
    let (padded_height, padded_width) = (size.height + 2 * size.padding, size.width + 2 * size.padding);
    let mut sums = [[s.splat(0.0); 4]; C];
    for c in 0..C {
        sums[c] = [s.splat(start[c]); 4];
    }
    let mut rows = weights.chunks_exact(size.kernel);
    for from in 0..size.in_channels {
        for u in 0..size.kernel {
            let corner = (from * padded_height + i + u) * padded_width + j;
            let upper = &x[corner..][..size.kernel + 1];
            let lower = &x[corner + padded_width..][..size.kernel + 1];
            let Some(weights) = rows.next() else { return sums };
            for ((upper, lower), weights) in upper.windows(2).zip(lower.windows(2)).zip(weights) {
                let packs = [s.load(&upper[0]), s.load(&upper[1]), s.load(&lower[0]), s.load(&lower[1])];
                for c in 0..C {
                    let weight = s.splat(weights[c]);
                    for p in 0..4 {
                        sums[c][p] = s.fma(weight, packs[p], sums[c][p]);
                    }
                }
            }
        }
    }
    sums
}
