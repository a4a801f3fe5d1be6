//! Direct convolution with a block of output channels × neighbouring pixels in registers.

use std::ops::Range;

use super::halo::with_halo;
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd};

/// A convolution of planes of packs: the forward pass, or the gradient of the input seen as one.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    /// Channels summed over.
    from_channels: usize,
    /// Channels produced.
    to_channels: usize,
    height: usize,
    width: usize,
    kernel: usize,
    halo: usize,
    /// Whether the weight is stored (from, to, K, K) and is used turned by 180°.
    turned: bool,
}

impl Geometry {
    pub(crate) fn of_forward(size: &Conv2dSize) -> Self {
        Geometry {
            from_channels: size.in_channels,
            to_channels: size.out_channels,
            height: size.height,
            width: size.width,
            kernel: size.kernel,
            halo: size.padding,
            turned: false,
        }
    }

    /// `d_x` is the convolution of `d_y`, with a halo of K − 1 − p, with the turned kernel.
    pub(super) fn of_backward(size: &Conv2dSize) -> Self {
        Geometry {
            from_channels: size.out_channels,
            to_channels: size.in_channels,
            height: size.out_height(),
            width: size.out_width(),
            kernel: size.kernel,
            halo: size.kernel - 1 - size.padding,
            turned: true,
        }
    }

    fn padded_height(&self) -> usize {
        self.height + 2 * self.halo
    }
    fn padded_width(&self) -> usize {
        self.width + 2 * self.halo
    }
    fn out_height(&self) -> usize {
        self.padded_height() + 1 - self.kernel
    }
    fn out_width(&self) -> usize {
        self.padded_width() + 1 - self.kernel
    }

    /// Kernel rows that meet more than zeros of the halo at output row `i`: for the gradient of LeNet-5's second input,
    /// 50 of 70.
    fn rows_inside(&self, i: usize) -> Range<usize> {
        let first = self.halo.saturating_sub(i);
        first..self.kernel.min(self.halo + self.height - i)
    }

    /// Weight of (to, from, u, v) in the canonical array.
    fn weight_index(&self, to: usize, from: usize, u: usize, v: usize) -> usize {
        let k = self.kernel;
        match self.turned {
            false => ((to * self.from_channels + from) * k + u) * k + v,
            true => ((from * self.to_channels + to) * k + k - 1 - u) * k + k - 1 - v,
        }
    }
}

pub(super) struct Forward<'a> {
    pub geometry: Geometry,
    pub x: &'a [Pack],
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [Pack],
    pub scratch: &'a mut Scratch,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Channels × pixels in registers: 24 or 20 sums of 32 registers, 6 of 8 virtual ones.
        match (S::MANY_REGISTERS, self.geometry.to_channels % 6, self.geometry.out_width() % 5) {
            (false, ..) => self.planes::<S, 6, 1>(s),
            (true, 0, _) => self.planes::<S, 6, 4>(s),
            (true, _, 0) => self.planes::<S, 4, 5>(s),
            (true, ..) => self.planes::<S, 4, 4>(s),
        }
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn planes<S: Simd, const C: usize, const P: usize>(self, s: S) {
        let g = self.geometry;
        let weights =
            self.scratch.weights.numbers(g.to_channels.next_multiple_of(C) * g.from_channels * g.kernel * g.kernel);
        let weights = pack_weights::<C>(g, self.weight, weights);
        let in_plane = g.padded_height() * g.padded_width();
        let padded = self.scratch.input.packs(if g.halo > 0 { g.from_channels * in_plane } else { 0 });
        let groups = self.x.chunks_exact((g.from_channels * g.height * g.width).max(1));
        let out_plane = g.out_height() * g.out_width();
        for (x, y) in groups.zip(self.y.chunks_exact_mut((g.to_channels * out_plane).max(1))) {
            let x: &[Pack] = if g.halo > 0 {
                with_halo(x, g.height, g.width, g.halo, padded);
                padded
            } else {
                x
            };
            let window = g.from_channels * g.kernel * g.kernel;
            for (block, y) in y.chunks_mut(C * out_plane).enumerate() {
                let weights = &weights[block * window..][..window];
                let mut start = [0.0; C];
                if let Some(bias) = self.bias {
                    for (start, bias) in start.iter_mut().zip(&bias[block * C..]) {
                        *start = *bias;
                    }
                }
                channels::<S, C, P>(s, g, x, (weights, &start), y);
            }
        }
    }
}

/// Weights in reading order: (block of `C` channels, from, u, v, channel); channels that do not exist get zeros.
pub(crate) fn pack_weights<'a, const C: usize>(g: Geometry, weight: &[f32], packed: &'a mut [f32]) -> &'a [[f32; C]] {
    let packed = packed.as_chunks_mut::<C>().0;
    let mut places = packed.iter_mut();
    for block in 0..g.to_channels.div_ceil(C) {
        for from in 0..g.from_channels {
            for u in 0..g.kernel {
                for v in 0..g.kernel {
                    let place = places.next().expect("as many places as weights");
                    for (c, place) in place.iter_mut().enumerate() {
                        let to = block * C + c;
                        *place = if to < g.to_channels { weight[g.weight_index(to, from, u, v)] } else { 0.0 };
                    }
                }
            }
        }
    }
    packed
}

/// All pixels of a block of channels, of one group. The last block of a row overlaps the one before.
#[inline(always)]
fn channels<S: Simd, const C: usize, const P: usize>(
    s: S,
    g: Geometry,
    x: &[Pack],
    weights: (&[[f32; C]], &[f32; C]),
    y: &mut [Pack],
) {
    let (out_height, out_width) = (g.out_height(), g.out_width());
    for i in 0..out_height {
        let mut j = 0;
        while j < out_width {
            if out_width >= P {
                let j = j.min(out_width - P);
                let sums = pixels::<S, C, P>(s, g, x, weights, (i, j));
                write(s, sums, &mut y[i * out_width + j..], out_height * out_width);
                if j + P == out_width {
                    break;
                }
            } else {
                let sums = pixels::<S, C, 1>(s, g, x, weights, (i, j));
                write(s, sums, &mut y[i * out_width + j..], out_height * out_width);
            }
            j += if out_width >= P { P } else { 1 };
        }
    }
}

/// `P` neighbouring pixels of `C` channels.
#[inline(always)]
fn pixels<S: Simd, const C: usize, const P: usize>(
    s: S,
    g: Geometry,
    x: &[Pack],
    (weights, start): (&[[f32; C]], &[f32; C]),
    (i, j): (usize, usize),
) -> [[S::Vector; P]; C] {
    let mut sums = [[s.splat(0.0); P]; C];
    for c in 0..C {
        sums[c] = [s.splat(start[c]); P];
    }
    let rows = g.rows_inside(i);
    for from in 0..g.from_channels {
        for u in rows.clone() {
            let corner = (from * g.padded_height() + i + u) * g.padded_width() + j;
            let x = &x[corner..][..P + g.kernel - 1];
            let weights = &weights[(from * g.kernel + u) * g.kernel..][..g.kernel];
            for (x, weights) in x.windows(P).zip(weights) {
                let mut packs = [s.splat(0.0); P];
                for p in 0..P {
                    packs[p] = s.load(&x[p]);
                }
                for c in 0..C {
                    let weight = s.splat(weights[c]);
                    for p in 0..P {
                        sums[c][p] = s.fma(weight, packs[p], sums[c][p]);
                    }
                }
            }
        }
    }
    sums
}

/// Writes the channels that exist.
#[inline(always)]
fn write<S: Simd, const C: usize, const P: usize>(s: S, sums: [[S::Vector; P]; C], y: &mut [Pack], plane: usize) {
    for c in 0..C {
        if let Some(y) = y.get_mut(c * plane..).and_then(|y| y.first_chunk_mut::<P>()) {
            for p in 0..P {
                s.store(&mut y[p], sums[c][p]);
            }
        }
    }
}
