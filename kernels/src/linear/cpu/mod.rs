//! The linear layer on the CPU.
//!
//! Order of operations, for any instruction set: an output starts at its bias and a `d_x` at 0, and products are added
//! by fused multiply-adds in the order of the input (of the output for `d_x`); a `d_w` starts at 0 and adds samples
//! in order; a `d_b` adds groups in order in 16 lanes, then the lanes by the tree of `horizontal_sums`.

mod broadcast;
mod outer;

use super::{Linear, LinearSize};
use crate::cpu::{Cpu, assert_len};
use broadcast::Broadcast;
use outer::Outer;

impl Linear for Cpu {
    fn linear_forward(&mut self, size: &LinearSize, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        let LinearSize { samples, inputs, outputs, .. } = *size;
        assert_len("weight", weight.len(), outputs * inputs);
        assert_len("bias", bias.len(), outputs);
        let x = self.layout.whole("x", x, samples, inputs);
        let mut y = self.layout.whole_out("y", y, samples, outputs);
        self.isa.run(Broadcast::<false> {
            terms: inputs,
            results: outputs,
            x: &x,
            weight,
            start: Some(bias),
            y: &mut y,
        });
    }

    fn linear_backward_input(&mut self, size: &LinearSize, weight: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        let LinearSize { samples, inputs, outputs, .. } = *size;
        assert_len("weight", weight.len(), outputs * inputs);
        let x = self.layout.whole("d_y", d_y, samples, outputs);
        let mut y = self.layout.whole_out("d_x", d_x, samples, inputs);
        self.isa.run(Broadcast::<true> { terms: outputs, results: inputs, x: &x, weight, start: None, y: &mut y });
    }

    fn linear_backward_weight(
        &mut self,
        size: &LinearSize,
        x: &[f32],
        d_y: &[f32],
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        let LinearSize { samples, inputs, outputs, .. } = *size;
        assert_len("d_weight", d_weight.len(), outputs * inputs);
        assert_len("d_bias", d_bias.len(), outputs);
        let x = self.layout.whole("x", x, samples, inputs);
        let d_y = self.layout.whole("d_y", d_y, samples, outputs);
        self.isa.run(Outer { size, x: &x, d_y: &d_y, d_weight, d_bias, scratch: &mut self.scratch });
    }
}
