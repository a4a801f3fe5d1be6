//! Batch normalisation on the CPU, channel by channel: a channel's values mostly stay in the second-level cache
//! while they are read once for the mean, once for the variance and once to be normalised.
//!
//! Order of operations, for any instruction set: groups of samples in order, within one the plane in order, by
//! `LaneSums`; then the 16 lanes by its tree.

mod backward;
mod forward;

use std::ops::Range;

use super::{BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize};
use crate::cpu::layout::Layout;
use crate::cpu::{Cpu, assert_len};
use crate::simd::sums::lanes_of_samples;
use crate::simd::{Pack, Simd, WIDTH};
use backward::Backward;
use forward::{Evaluate, Forward, Input};

impl BatchNormSize {
    fn features(&self) -> usize {
        self.channels * self.plane
    }
}

/// Where channels lie.
#[derive(Clone, Copy)]
struct Planes<'a> {
    size: &'a BatchNormSize,
    /// Samples that lie abreast.
    lanes: usize,
}

impl Planes<'_> {
    /// Groups of samples.
    fn groups(&self) -> usize {
        self.size.samples.div_ceil(self.lanes)
    }

    /// Channel `channel` of group `group`.
    fn run(&self, group: usize, channel: usize) -> Range<usize> {
        let plane = self.size.plane * self.lanes;
        let start = (group * self.size.channels + channel) * plane;
        start..start + plane
    }

    /// Which lanes of the group's packs hold samples; then, of half a pack at a plane's end.
    #[inline(always)]
    fn masks<S: Simd>(&self, s: S, group: usize) -> [S::Mask; 2] {
        let samples = (self.size.samples - group * self.lanes).min(self.lanes);
        [lanes_of_samples(s, samples, self.lanes), lanes_of_samples(s, samples, WIDTH)]
    }
}

/// Half a pack at a plane's end, with zeros behind it; nothing if there is none.
fn last_half(rest: &[f32]) -> ([Pack; 1], usize) {
    let mut pack = [0.0; WIDTH];
    pack[..rest.len()].copy_from_slice(rest);
    ([pack], usize::from(!rest.is_empty()))
}

#[track_caller]
fn input<'a>(layout: &Layout, size: &BatchNormSize, input: BatchNormInput<'a, Cpu>) -> Input<'a> {
    assert_len("weight", input.weight.len(), size.channels);
    assert_len("bias", input.bias.len(), size.channels);
    Input {
        x: layout.packs("x", input.x, size.samples, size.features()).as_flattened(),
        weight: input.weight,
        bias: input.bias,
        residual: input
            .residual
            .map(|residual| layout.packs("residual", residual, size.samples, size.features()).as_flattened()),
    }
}

impl BatchNorm for Cpu {
    fn batch_norm_forward(
        &mut self,
        size: &BatchNormSize,
        values: BatchNormInput<'_, Cpu>,
        output: BatchNormOutput<'_, Cpu>,
    ) {
        let input = input(&self.layout, size, values);
        let BatchNormOutput { y, moments, statistics } = output;
        assert_len("moments", moments.len(), 2 * size.channels);
        assert_len("statistics", statistics.len(), 2 * size.channels);
        let y = self.layout.packs_mut("y", y, size.samples, size.features()).as_flattened_mut();
        let planes = self.planes(size);
        self.isa.run(Forward { planes, input, y, moments, statistics });
    }

    fn batch_norm_evaluate(
        &mut self,
        size: &BatchNormSize,
        values: BatchNormInput<'_, Cpu>,
        running: &[f32],
        y: &mut [f32],
    ) {
        let input = input(&self.layout, size, values);
        assert_len("running", running.len(), 2 * size.channels);
        let y = self.layout.packs_mut("y", y, size.samples, size.features()).as_flattened_mut();
        let planes = self.planes(size);
        self.isa.run(Evaluate { planes, input, running, y });
    }

    fn batch_norm_backward(
        &mut self,
        size: &BatchNormSize,
        saved: BatchNormSaved<'_, Cpu>,
        gradients: BatchNormGradients<'_, Cpu>,
    ) {
        let BatchNormSaved { x, y, weight, moments } = saved;
        let BatchNormGradients { d_y, d_x, d_weight, d_bias } = gradients;
        assert_len("weight", weight.len(), size.channels);
        assert_len("moments", moments.len(), 2 * size.channels);
        assert_len("d_weight", d_weight.len(), size.channels);
        assert_len("d_bias", d_bias.len(), size.channels);
        let (samples, features) = (size.samples, size.features());
        let x = self.layout.packs("x", x, samples, features).as_flattened();
        let y = size.relu.then(|| self.layout.packs("y", y, samples, features).as_flattened());
        let d_y = self.layout.packs_mut("d_y", d_y, samples, features).as_flattened_mut();
        let d_x = self.layout.packs_mut("d_x", d_x, samples, features).as_flattened_mut();
        let planes = self.planes(size);
        self.isa.run(Backward { planes, x, y, weight, moments, d_y, d_x, d_weight, d_bias });
    }
}

impl Cpu {
    fn planes<'a>(&self, size: &'a BatchNormSize) -> Planes<'a> {
        Planes { size, lanes: self.layout.lanes(size.samples, size.features()) }
    }
}
