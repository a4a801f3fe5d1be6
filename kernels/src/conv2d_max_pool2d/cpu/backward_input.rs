//! Gradient of the input: a window adds to the (K+1)² inputs that its four pixels see. Lane by lane, the weights are moved
//! to the chosen column, and the gradient is split by the chosen row: half the multiply-adds of the plain convolution.

use super::{Gradient, pooled_height, pooled_width};
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

pub(super) struct BackwardInput<'a> {
    pub size: &'a Conv2dSize,
    pub weight: &'a [f32],
    pub d_y: &'a [Pack],
    pub choice: &'a [[u8; WIDTH]],
    pub d_x: &'a mut [Pack],
    pub scratch: &'a mut Scratch,
}

impl Kernel for BackwardInput<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.size.kernel {
            5 => self.groups::<S, 5, 6>(s),
            _ => self.groups::<S, 3, 4>(s),
        }
    }
}

impl BackwardInput<'_> {
    #[inline(always)]
    fn groups<S: Simd, const K: usize, const N: usize>(self, s: S) {
        let size = self.size;
        let plane = pooled_height(size) * pooled_width(size);
        let features = (size.out_channels * plane).max(1);
        let (padded_height, padded_width) = (size.height + 2 * size.padding, size.width + 2 * size.padding);
        let padded = self.scratch.input.packs(padded_height * padded_width);
        let weights = pack_weights::<K>(size, self.weight, self.scratch.weights.numbers(self.weight.len()));
        let gradients = self.d_y.chunks_exact(features).zip(self.choice.chunks_exact(features));
        self.d_x.fill([0.0; WIDTH]);
        for (d_x, d_y) in self.d_x.chunks_exact_mut(size.in_features().max(1)).zip(gradients) {
            let channels =
                d_x.chunks_exact_mut(size.height * size.width).zip(weights.chunks_exact(size.out_channels * K));
            for (d_x, weights) in channels {
                padded.fill([0.0; WIDTH]);
                channel::<S, K, N>(s, size, weights, d_y, padded);
                for (row, d_x) in d_x.chunks_exact_mut(size.width).enumerate() {
                    let from = (row + size.padding) * padded_width + size.padding;
                    d_x.copy_from_slice(&padded[from..][..size.width]);
                }
            }
        }
    }
}

/// Weights as (input channel, output channel, row) of kernel rows.
fn pack_weights<'a, const K: usize>(size: &Conv2dSize, weight: &[f32], packed: &'a mut [f32]) -> &'a [[f32; K]] {
    let packed = packed.as_chunks_mut::<K>().0;
    for (row, weight) in weight.as_chunks::<K>().0.iter().enumerate() {
        let (o, c, u) = (row / K / size.in_channels, row / K % size.in_channels, row % K);
        packed[(c * size.out_channels + o) * K + u] = *weight;
    }
    packed
}

/// All windows of one group, for one input channel: `padded` is its gradient with the halo.
#[inline(always)]
fn channel<S: Simd, const K: usize, const N: usize>(
    s: S,
    size: &Conv2dSize,
    weights: &[[f32; K]],
    gradient: Gradient,
    padded: &mut [Pack],
) {
    let padded_width = size.width + 2 * size.padding;
    let (pooled_height, pooled_width) = (pooled_height(size), pooled_width(size));
    let plane = pooled_height * pooled_width;
    for i in 0..pooled_height {
        for j in 0..pooled_width {
            let window =
                Window { first: i * pooled_width + j, plane, corner: 2 * i * padded_width + 2 * j, padded_width };
            // 18 sums, the row above and the factors fill 32 registers.
            match (S::MANY_REGISTERS, N) {
                (true, 6) => {
                    window.rows::<S, 0, 3, K, N>(s, weights, gradient, padded);
                    window.rows::<S, 3, 3, K, N>(s, weights, gradient, padded);
                }
                (true, _) => window.rows::<S, 0, N, K, N>(s, weights, gradient, padded),
                (false, _) => {
                    window.rows::<S, 0, 1, K, N>(s, weights, gradient, padded);
                    window.rows::<S, 1, 1, K, N>(s, weights, gradient, padded);
                    window.rows::<S, 2, 1, K, N>(s, weights, gradient, padded);
                    window.rows::<S, 3, 1, K, N>(s, weights, gradient, padded);
                    window.rows::<S, 4, 1, K, N>(s, weights, gradient, padded);
                    window.rows::<S, 5, 1, K, N>(s, weights, gradient, padded);
                }
            }
        }
    }
}

/// Where a window's gradients lie, one a plane, and where its inputs start.
struct Window {
    first: usize,
    plane: usize,
    corner: usize,
    padded_width: usize,
}

impl Window {
    /// Adds to `R` of the window's `N` = `K` + 1 rows of inputs, from `ROW` on; to none beyond the last.
    #[inline(always)]
    fn rows<S: Simd, const ROW: usize, const R: usize, const K: usize, const N: usize>(
        &self,
        s: S,
        weights: &[[f32; K]],
        (d_y, choice): Gradient,
        padded: &mut [Pack],
    ) {
        if ROW >= N {
            return;
        }
        let mut total = [[s.splat(0.0); N]; R];
        for (o, weights) in weights.as_chunks::<K>().0.iter().enumerate() {
            let at = self.first + o * self.plane;
            let d = s.load(&d_y[at]);
            let (right, lower) = (s.test_bytes(&choice[at], 1), s.test_bytes(&choice[at], 2));
            let d_upper = s.select(lower, s.splat(0.0), d);
            let d_lower = s.keep(lower, d);
            for q in 0..N {
                if ROW > 0 {
                    let weight = moved(s, right, &weights[ROW - 1], q);
                    total[0][q] = s.fma(d_lower, weight, total[0][q]);
                }
            }
            for r in 0..R {
                for q in 0..N {
                    if ROW + r < K {
                        let weight = moved(s, right, &weights[ROW + r], q);
                        total[r][q] = s.fma(d_upper, weight, total[r][q]);
                        if r + 1 < R {
                            total[r + 1][q] = s.fma(d_lower, weight, total[r + 1][q]);
                        }
                    }
                }
            }
        }
        for r in 0..R {
            let to = &mut padded[self.corner + (ROW + r) * self.padded_width..][..N];
            for q in 0..N {
                let sum = s.add(s.load(&to[q]), total[r][q]);
                s.store(&mut to[q], sum);
            }
        }
    }
}

/// Input `q` of a kernel row as a window sees it: the row is one to the right where the right column was chosen.
#[inline(always)]
fn moved<S: Simd, const K: usize>(s: S, right: S::Mask, weights: &[f32; K], q: usize) -> S::Vector {
    let here = s.splat(if q < K { weights[q] } else { 0.0 });
    let left = s.splat(if q > 0 { weights[q - 1] } else { 0.0 });
    s.select(right, left, here)
}
