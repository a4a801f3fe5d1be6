//! Gradient of the weight: one multiply-add a window and weight, with the input that belongs to the chosen pixel.

use super::{Gradient, pooled_height, pooled_width};
use crate::conv2d::Conv2dSize;
use crate::conv2d::cpu::bias::add_plane;
use crate::conv2d::cpu::direct_weight::reduce;
use crate::conv2d::cpu::strip::padded_group;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

pub(super) struct BackwardWeight<'a> {
    pub size: &'a Conv2dSize,
    pub x: &'a [Pack],
    pub d_y: &'a [Pack],
    pub choice: &'a [[u8; WIDTH]],
    pub d_weight: &'a mut [f32],
    pub d_bias: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for BackwardWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let size = self.size;
        let (weights, out_channels) = (self.d_weight.len(), self.d_bias.len());
        let sums = self.scratch.sums.packs(weights + out_channels);
        sums.fill([0.0; WIDTH]);
        let (weight_sums, bias_sums) = sums.split_at_mut(weights);
        let plane = pooled_height(size) * pooled_width(size);
        let features = (out_channels * plane).max(1);
        let gradients = self.d_y.chunks_exact(features).zip(self.choice.chunks_exact(features));
        for (x, d_y) in self.x.chunks_exact(size.in_features().max(1)).zip(gradients) {
            let x = padded_group(size, x, &mut self.scratch.input);
            match size.kernel {
                5 => group::<S, 5>(s, size, x, d_y, weight_sums),
                _ => group::<S, 3>(s, size, x, d_y, weight_sums),
            }
            for (plane, sum) in d_y.0.chunks_exact(plane).zip(bias_sums.iter_mut()) {
                add_plane(s, plane, sum);
            }
        }
        reduce(s, weight_sums, self.d_weight);
        reduce(s, bias_sums, self.d_bias);
    }
}

/// Adds one group. The input's plane is the outer loop: it stays in the first-level cache.
#[inline(always)]
fn group<S: Simd, const K: usize>(s: S, size: &Conv2dSize, x: &[Pack], (d_y, choice): Gradient, sums: &mut [Pack]) {
    let padded_plane = (size.height + 2 * size.padding) * (size.width + 2 * size.padding);
    let plane = pooled_height(size) * pooled_width(size);
    for (c, x) in x.chunks_exact(padded_plane).enumerate() {
        let planes = d_y.chunks_exact(plane).zip(choice.chunks_exact(plane));
        for (o, d) in planes.enumerate() {
            let sums = &mut sums[(o * size.in_channels + c) * K * K..][..K * K];
            let mut u = 0;
            // 15 sums and what they need fill 32 registers.
            while u < K {
                u += match K - u {
                    3.. if S::MANY_REGISTERS => rows::<S, 3, K>(s, size, u, (x, d), sums),
                    2.. if S::MANY_REGISTERS => rows::<S, 2, K>(s, size, u, (x, d), sums),
                    _ => rows::<S, 1, K>(s, size, u, (x, d), sums),
                };
            }
        }
    }
}

/// Adds all windows to `U` rows of a kernel, from row `u` on. Returns `U`.
#[inline(always)]
fn rows<S: Simd, const U: usize, const K: usize>(
    s: S,
    size: &Conv2dSize,
    u: usize,
    (x, (d_y, choice)): (&[Pack], Gradient),
    sums: &mut [Pack],
) -> usize {
    let sums = &mut sums[u * K..][..U * K];
    let mut total = [[s.splat(0.0); K]; U];
    for t in 0..U * K {
        total[t / K][t % K] = s.load(&sums[t]);
    }
    let padded_width = size.width + 2 * size.padding;
    let pooled_width = pooled_width(size);
    let windows = d_y.chunks_exact(pooled_width).zip(choice.chunks_exact(pooled_width));
    for (i, (d_y, choice)) in windows.enumerate() {
        for (j, (d, choice)) in d_y.iter().zip(choice).enumerate() {
            let d = s.load(d);
            let (right, lower) = (s.test_bytes(choice, 1), s.test_bytes(choice, 2));
            let corner = (2 * i + u) * padded_width + 2 * j;
            // Of the row above: the inputs of the chosen column.
            let mut above = [s.splat(0.0); K];
            let x_row = &x[corner..][..K + 1];
            for v in 0..K {
                above[v] = s.select(right, s.load(&x_row[v + 1]), s.load(&x_row[v]));
            }
            for t in 0..U {
                let x_row = &x[corner + (t + 1) * padded_width..][..K + 1];
                for v in 0..K {
                    let below = s.select(right, s.load(&x_row[v + 1]), s.load(&x_row[v]));
                    total[t][v] = s.fma(d, s.select(lower, below, above[v]), total[t][v]);
                    above[v] = below;
                }
            }
        }
    }
    for t in 0..U * K {
        s.store(&mut sums[t], total[t / K][t % K]);
    }
    U
}
