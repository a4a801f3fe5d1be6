//! Batch normalisation on the CPU, channel by channel: a channel's values mostly stay in the second-level cache
//! while they are read once for the mean, once for the variance and once to be normalised.
//!
//! Order of operations, for any instruction set: groups of samples in order, within one the plane in order, by
//! `LaneSums`; then the 16 lanes by its tree.

mod backward;
mod forward;

use super::{BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize};
use crate::cpu::{Cpu, assert_len, packs, packs_mut};
use backward::Backward;
use forward::{Evaluate, Forward, Input};

impl BatchNormSize {
    fn features(&self) -> usize {
        self.channels * self.plane
    }

    /// Where channel `channel` of group `group` lies.
    fn run(&self, group: usize, channel: usize) -> std::ops::Range<usize> {
        let start = (group * self.channels + channel) * self.plane;
        start..start + self.plane
    }
}

#[track_caller]
fn input<'a>(size: &BatchNormSize, input: BatchNormInput<'a, Cpu>) -> Input<'a> {
    assert_len("weight", input.weight.len(), size.channels);
    assert_len("bias", input.bias.len(), size.channels);
    Input {
        x: packs("x", input.x, size.samples, size.features()),
        weight: input.weight,
        bias: input.bias,
        residual: input.residual.map(|residual| packs("residual", residual, size.samples, size.features())),
    }
}

impl BatchNorm for Cpu {
    fn batch_norm_forward(
        &mut self,
        size: &BatchNormSize,
        values: BatchNormInput<'_, Cpu>,
        output: BatchNormOutput<'_, Cpu>,
    ) {
        let input = input(size, values);
        let BatchNormOutput { y, moments, statistics } = output;
        assert_len("moments", moments.len(), 2 * size.channels);
        assert_len("statistics", statistics.len(), 2 * size.channels);
        let y = packs_mut("y", y, size.samples, size.features());
        self.isa.run(Forward { size, input, y, moments, statistics });
    }

    fn batch_norm_evaluate(
        &mut self,
        size: &BatchNormSize,
        values: BatchNormInput<'_, Cpu>,
        running: &[f32],
        y: &mut [f32],
    ) {
        let input = input(size, values);
        assert_len("running", running.len(), 2 * size.channels);
        let y = packs_mut("y", y, size.samples, size.features());
        self.isa.run(Evaluate { size, input, running, y });
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
        let x = packs("x", x, size.samples, size.features());
        let y = if size.relu { Some(packs("y", y, size.samples, size.features())) } else { None };
        let d_y = packs_mut("d_y", d_y, size.samples, size.features());
        let d_x = packs_mut("d_x", d_x, size.samples, size.features());
        self.isa.run(Backward { size, x, y, weight, moments, d_y, d_x, d_weight, d_bias });
    }
}
