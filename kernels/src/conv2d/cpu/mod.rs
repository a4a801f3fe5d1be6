//! Convolution on the CPU: direct, one weight times the 16 samples of a pack.
//!
//! Order of operations, for any instruction set: an output starts at its bias and adds products by fused
//! multiply-adds in the order (channel, row, column) of the kernel; `d_x` starts at 0 and goes by (output channel,
//! row, column) of the turned kernel; kernel rows that meet only padding are skipped; a weight's gradient has 16 sums,
//! one a lane, that add groups in order, then output pixels row by row, and are added in the end by the tree of
//! `horizontal_sums`.

pub(crate) mod backward_weight;
pub(crate) mod forward;
pub(crate) mod halo;

use super::{Conv2d, Conv2dSize};
use crate::cpu::{Cpu, assert_len, packs, packs_mut};
use backward_weight::BackwardWeight;
use forward::{Forward, Geometry};

impl Conv2dSize {
    pub(crate) fn in_features(&self) -> usize {
        self.in_channels * self.height * self.width
    }

    pub(crate) fn out_features(&self) -> usize {
        self.out_channels * self.out_height() * self.out_width()
    }

    pub(crate) fn weights(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }

    #[track_caller]
    pub(crate) fn check(&self) {
        let Conv2dSize { height, width, kernel, padding, .. } = *self;
        assert!(padding < kernel, "padding {padding} is not below the kernel's {kernel}");
        assert!(height.min(width) + 2 * padding >= kernel, "a {kernel}×{kernel} kernel does not fit {height}×{width}");
    }
}

impl Conv2d for Cpu {
    fn conv2d_forward(&mut self, size: &Conv2dSize, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        size.check();
        assert_len("weight", weight.len(), size.weights());
        assert_len("bias", bias.len(), size.out_channels);
        let x = packs("x", x, size.samples, size.in_features());
        let y = packs_mut("y", y, size.samples, size.out_features());
        let geometry = Geometry::of_forward(size);
        self.isa.run(Forward { geometry, x, weight, bias: Some(bias), y, scratch: &mut self.scratch });
    }

    fn conv2d_backward_input(&mut self, size: &Conv2dSize, weight: &[f32], d_y: &[f32], d_x: &mut [f32]) {
        size.check();
        assert_len("weight", weight.len(), size.weights());
        let x = packs("d_y", d_y, size.samples, size.out_features());
        let y = packs_mut("d_x", d_x, size.samples, size.in_features());
        let geometry = Geometry::of_backward(size);
        self.isa.run(Forward { geometry, x, weight, bias: None, y, scratch: &mut self.scratch });
    }

    fn conv2d_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: &[f32],
        d_y: &[f32],
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        size.check();
        assert_len("d_weight", d_weight.len(), size.weights());
        assert_len("d_bias", d_bias.len(), size.out_channels);
        let x = packs("x", x, size.samples, size.in_features());
        let d_y = packs("d_y", d_y, size.samples, size.out_features());
        self.isa.run(BackwardWeight { size, x, d_y, d_weight, d_bias, scratch: &mut self.scratch });
    }
}
