//! Convolution on the CPU: one weight times the 16 samples of a pack, or one gradient times 16 channels.
//!
//! Order of operations, for any instruction set:
//! - *Direct*: an output starts at its bias and adds products by fused multiply-adds in the order (channel, row,
//!   column) of the kernel; `d_x` starts at 0 and goes by (output channel, row, column) of the turned kernel; kernel
//!   rows that meet only padding are skipped. *Pointwise* is the same for a 1×1 kernel. From about 256 terms on, runs of
//!   terms have sums of their own, which are added in order.
//! - *Winograd*: transforms as written in `winograd/transforms.rs`, sums over channels like a pointwise convolution's.
//! - A weight's gradient, samples in the lanes: 16 sums, one a lane, that add groups in order, and within them strips of
//!   rows, each with sums of its own; added in the end by the tree of `horizontal_sums`. Channels in the lanes: runs of
//!   at most 128 terms (pixels, and their samples) have sums of their own, which are added in order.

mod axis;
pub(crate) mod bias;
mod channel_weight;
mod choice;
pub(crate) mod direct;
pub(crate) mod direct_weight;
mod grid;
mod outer;
mod panels;
mod pointwise;
mod pointwise_weight;
mod product;
pub(crate) mod strip;
mod winograd;

use super::{Accumulation, Conv2d, Conv2dSize};
use crate::cpu::{Cpu, assert_len, packs, packs_mut};
use crate::simd::Pack;
use bias::BiasGradient;
use channel_weight::ChannelWeight;
use choice::{Method, WeightMethod, method, weight_method};
use direct::{Direct, Geometry};
use direct_weight::DirectWeight;
use pointwise::Pointwise;
use pointwise_weight::PointwiseWeight;

impl Conv2dSize {
    pub(crate) fn in_features(&self) -> usize {
        self.in_channels * self.height * self.width
    }

    pub(crate) fn out_features(&self) -> usize {
        self.out_channels * self.out_height() * self.out_width()
    }

    #[track_caller]
    pub(crate) fn check(&self) {
        let Conv2dSize { in_channels, out_channels, height, width, kernel, .. } = *self;
        let Conv2dSize { stride, padding, dilation, groups, .. } = *self;
        let sizes = [in_channels, out_channels, height, width, kernel, stride, dilation, groups];
        assert!(!sizes.contains(&0), "a convolution of no size: {self:?}");
        let divides = in_channels.is_multiple_of(groups) && out_channels.is_multiple_of(groups);
        assert!(divides, "{groups} groups do not divide {in_channels} and {out_channels} channels");
        let window = dilation * (kernel - 1) + 1;
        assert!(
            height.min(width) + 2 * padding >= window,
            "a {kernel}×{kernel} kernel that spans {window} pixels does not fit {height}×{width} with padding {padding}"
        );
    }
}

/// Operands of a convolution of planes.
struct Operands<'a> {
    x: &'a [Pack],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a mut [Pack],
    accumulation: Accumulation,
}

impl Conv2d for Cpu {
    fn conv2d_forward(&mut self, size: &Conv2dSize, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        size.check();
        assert_len("weight", weight.len(), size.weights());
        assert_len("bias", bias.map_or(size.out_channels, <[f32]>::len), size.out_channels);
        let x = packs("x", x, size.samples, size.in_features());
        let y = packs_mut("y", y, size.samples, size.out_features());
        let operands = Operands { x, weight, bias, y, accumulation: Accumulation::Overwrite };
        match method(size) {
            Method::Direct => self.direct(Geometry::of_forward(size), operands),
            Method::Pointwise => self.pointwise(size, false, operands),
            Method::Winograd => self.winograd(size.samples, winograd::forward::Geometry::of_forward(size), operands),
        }
    }

    fn conv2d_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: &[f32],
        d_y: &[f32],
        d_x: &mut [f32],
        accumulation: Accumulation,
    ) {
        size.check();
        assert_len("weight", weight.len(), size.weights());
        let x = packs("d_y", d_y, size.samples, size.out_features());
        let y = packs_mut("d_x", d_x, size.samples, size.in_features());
        let operands = Operands { x, weight, bias: None, y, accumulation };
        match method(size) {
            Method::Direct => {
                for phase in 0..size.stride * size.stride {
                    let geometry = Geometry::of_backward(size, (phase / size.stride, phase % size.stride));
                    self.direct(geometry, Operands { y: &mut *operands.y, ..operands });
                }
            }
            Method::Pointwise => self.pointwise(size, true, operands),
            Method::Winograd => self.winograd(size.samples, winograd::forward::Geometry::of_backward(size), operands),
        }
    }

    fn conv2d_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: &[f32],
        d_y: &[f32],
        d_weight: &mut [f32],
        d_bias: Option<&mut [f32]>,
    ) {
        size.check();
        assert_len("d_weight", d_weight.len(), size.weights());
        let x = packs("x", x, size.samples, size.in_features());
        let d_y = packs("d_y", d_y, size.samples, size.out_features());
        let scratch = &mut self.scratch;
        match weight_method(size) {
            WeightMethod::Samples => self.isa.run(DirectWeight { size, x, d_y, d_weight, scratch }),
            WeightMethod::Channels => self.isa.run(ChannelWeight { size, x, d_y, d_weight, scratch }),
            WeightMethod::Pointwise => self.isa.run(PointwiseWeight { size, x, d_y, d_weight, scratch }),
            WeightMethod::Winograd => {
                self.isa.run(winograd::backward_weight::BackwardWeight { size, x, d_y, d_weight, scratch });
            }
        }
        if let Some(d_bias) = d_bias {
            assert_len("d_bias", d_bias.len(), size.out_channels);
            let plane = size.out_height() * size.out_width();
            self.isa.run(BiasGradient { plane, d_y, d_bias, sums: &mut self.scratch.sums });
        }
    }
}

impl Cpu {
    fn direct(&mut self, geometry: Geometry, operands: Operands<'_>) {
        let Operands { x, weight, bias, y, accumulation } = operands;
        self.isa.run(Direct { geometry, x, weight, bias, y, accumulation, scratch: &mut self.scratch });
    }

    fn pointwise(&mut self, size: &Conv2dSize, backward: bool, operands: Operands<'_>) {
        let Operands { x, weight, bias, y, accumulation } = operands;
        self.isa.run(Pointwise { size, backward, x, weight, bias, y, accumulation, scratch: &mut self.scratch });
    }

    fn winograd(&mut self, samples: usize, geometry: winograd::forward::Geometry, operands: Operands<'_>) {
        let Operands { x, weight, bias, y, accumulation } = operands;
        let scratch = &mut self.scratch;
        self.isa.run(winograd::forward::Forward { geometry, samples, x, weight, bias, y, accumulation, scratch });
    }
}
