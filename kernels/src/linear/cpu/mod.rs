//! The linear layer on the CPU.
//!
//! Order of operations, for any instruction set: an output starts at its bias and a `d_x` at 0, and products are added
//! by fused multiply-adds in the order of the input (of the output for `d_x`); a `d_w` starts at 0 and adds samples
//! in order; a `d_b` adds groups in order in 16 lanes, then the lanes by the tree of `horizontal_sums`.

mod broadcast;
mod outer;

use super::{Linear, LinearSize};
use crate::cpu::{Cpu, assert_len, packs, packs_mut};
use broadcast::Broadcast;
use outer::Outer;

impl Linear for Cpu {
    fn linear_forward(&mut self, size: &LinearSize, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        let LinearSize { samples, inputs, outputs } = *size;
        assert_len("weight", weight.len(), outputs * inputs);
        assert_len("bias", bias.len(), outputs);
        let x = packs("x", x, samples, inputs);
        let y = packs_mut("y", y, samples, outputs);
        self.isa.run(Broadcast::<false> { terms: inputs, results: outputs, x, weight, start: Some(bias), y });
    }

    fn linear_backward_input(&mut self, size: &LinearSize, weight: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        let LinearSize { samples, inputs, outputs } = *size;
        assert_len("weight", weight.len(), outputs * inputs);
        let x = packs("d_y", d_y, samples, outputs);
        let y = packs_mut("d_x", d_x, samples, inputs);
        self.isa.run(Broadcast::<true> { terms: outputs, results: inputs, x, weight, start: None, y });
    }

    fn linear_backward_weight(
        &mut self,
        size: &LinearSize,
        x: &[f32],
        d_y: &[f32],
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        let LinearSize { samples, inputs, outputs } = *size;
        assert_len("d_weight", d_weight.len(), outputs * inputs);
        assert_len("d_bias", d_bias.len(), outputs);
        let x = packs("x", x, samples, inputs);
        let d_y = packs("d_y", d_y, samples, outputs);
        self.isa.run(Outer { size, x, d_y, d_weight, d_bias, scratch: &mut self.scratch });
    }
}
