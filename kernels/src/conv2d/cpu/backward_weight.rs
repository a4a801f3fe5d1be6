//! Gradient of the weight: each of its elements is a vector of 16 sums, one a lane, over pixels and groups.

use super::halo::padded_group;
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH, horizontal_sums};

pub(super) struct BackwardWeight<'a> {
    pub size: &'a Conv2dSize,
    pub x: &'a [Pack],
    pub d_y: &'a [Pack],
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
        let groups = self.x.chunks_exact(size.in_features().max(1));
        for (x, d_y) in groups.zip(self.d_y.chunks_exact(size.out_features().max(1))) {
            let x = padded_group(size, x, &mut self.scratch.input);
            match size.kernel {
                5 => group::<S, 5>(s, size, x, d_y, weight_sums),
                3 => group::<S, 3>(s, size, x, d_y, weight_sums),
                _ => group::<S, 1>(s, size, x, d_y, weight_sums),
            }
            for (plane, sum) in d_y.chunks_exact(size.out_height() * size.out_width()).zip(bias_sums.iter_mut()) {
                add_plane(s, plane, sum);
            }
        }
        reduce(s, weight_sums, self.d_weight);
        reduce(s, bias_sums, self.d_bias);
    }
}

/// Adds one group. `V` columns of the kernel go together.
#[inline(always)]
fn group<S: Simd, const V: usize>(s: S, size: &Conv2dSize, x: &[Pack], d_y: &[Pack], sums: &mut [Pack]) {
    for c in 0..size.in_channels {
        for u in 0..size.kernel {
            for v in (0..size.kernel).step_by(V) {
                let mut o = 0;
                while o < size.out_channels {
                    let place = Place { o, c, u, v };
                    o += match size.out_channels - o {
                        4.. if S::MANY_REGISTERS => block::<S, 4, V>(s, size, place, (x, d_y), sums),
                        3.. if S::MANY_REGISTERS => block::<S, 3, V>(s, size, place, (x, d_y), sums),
                        2.. if S::MANY_REGISTERS => block::<S, 2, V>(s, size, place, (x, d_y), sums),
                        _ => block::<S, 1, V>(s, size, place, (x, d_y), sums),
                    };
                }
            }
        }
    }
}

/// Which weights a block covers: `V` columns from `v` on, output channels from `o` on.
#[derive(Clone, Copy)]
struct Place {
    o: usize,
    c: usize,
    u: usize,
    v: usize,
}

/// `O` output channels × `V` columns in registers, over all pixels of a group. Returns `O`.
#[inline(always)]
fn block<S: Simd, const O: usize, const V: usize>(
    s: S,
    size: &Conv2dSize,
    place: Place,
    (x, d_y): (&[Pack], &[Pack]),
    sums: &mut [Pack],
) -> usize {
    let Place { o, c, u, v } = place;
    let (out_height, out_width) = (size.out_height(), size.out_width());
    let (padded_height, padded_width) = (size.height + 2 * size.padding, size.width + 2 * size.padding);
    let first = |k: usize| (((o + k) * size.in_channels + c) * size.kernel + u) * size.kernel + v;
    let mut total = [[s.splat(0.0); V]; O];
    for k in 0..O {
        let sums = &sums[first(k)..][..V];
        for t in 0..V {
            total[k][t] = s.load(&sums[t]);
        }
    }
    for i in 0..out_height {
        let x = &x[(c * padded_height + i + u) * padded_width + v..][..out_width + V - 1];
        let d: [&[Pack]; O] = std::array::from_fn(|k| &d_y[((o + k) * out_height + i) * out_width..][..out_width]);
        for (j, x) in x.windows(V).enumerate().take(out_width) {
            let mut packs = [s.splat(0.0); V];
            for t in 0..V {
                packs[t] = s.load(&x[t]);
            }
            for k in 0..O {
                let d = s.load(&d[k][j]);
                for t in 0..V {
                    total[k][t] = s.fma(d, packs[t], total[k][t]);
                }
            }
        }
    }
    for k in 0..O {
        let sums = &mut sums[first(k)..][..V];
        for t in 0..V {
            s.store(&mut sums[t], total[k][t]);
        }
    }
    O
}

/// Adds the packs of a plane in order, in four interleaved sums: an addition takes four cycles.
#[inline(always)]
pub(crate) fn add_plane<S: Simd>(s: S, plane: &[Pack], sum: &mut Pack) {
    let mut sums = [s.splat(0.0); 4];
    let (quads, rest) = plane.as_chunks::<4>();
    for quad in quads {
        for i in 0..4 {
            sums[i] = s.add(sums[i], s.load(&quad[i]));
        }
    }
    for (i, pack) in rest.iter().enumerate() {
        sums[i] = s.add(sums[i], s.load(pack));
    }
    let total = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
    let total = s.add(s.load(sum), total);
    s.store(sum, total);
}

/// The sum over the lanes of each pack.
#[inline(always)]
pub(crate) fn reduce<S: Simd>(s: S, sums: &[Pack], to: &mut [f32]) {
    for (sums, to) in sums.chunks(WIDTH).zip(to.chunks_mut(WIDTH)) {
        let mut block = [[0.0; WIDTH]; WIDTH];
        block[..sums.len()].copy_from_slice(sums);
        let mut total = [0.0; WIDTH];
        s.store(&mut total, horizontal_sums(s, &block));
        to.copy_from_slice(&total[..to.len()]);
    }
}
