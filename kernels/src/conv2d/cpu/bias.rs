//! Gradient of the bias: the sum of each output channel's plane, over all samples.

use super::direct_weight::reduce;
use crate::cpu::Growing;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

pub(super) struct BiasGradient<'a> {
    /// Numbers of a channel's plane.
    pub plane: usize,
    pub d_y: &'a [f32],
    pub d_bias: &'a mut [f32],
    pub sums: &'a mut Growing,
}

impl Kernel for BiasGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.d_bias.len();
        let sums = self.sums.packs(channels);
        sums.fill([0.0; WIDTH]);
        for group in self.d_y.chunks_exact(channels * self.plane) {
            for (plane, sum) in group.chunks_exact(self.plane).zip(sums.iter_mut()) {
                let (packs, half) = plane.as_chunks();
                add_plane(s, packs, sum);
                sum.iter_mut().zip(half).for_each(|(sum, value)| *sum += value);
            }
        }
        reduce(s, sums, self.d_bias);
    }
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
