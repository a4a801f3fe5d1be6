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
use crate::activation::{Activate, Activation};
use crate::cpu::layout::{Layout, Whole};
use crate::cpu::{Cpu, assert_len};
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

/// Operands of a convolution of planes, where they lie.
struct Operands<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a mut [f32],
    accumulation: Accumulation,
}

/// Samples that lie abreast in the input and in the output.
#[derive(Clone, Copy)]
struct Lanes {
    inside: usize,
    outside: usize,
}

impl Lanes {
    fn new(layout: &Layout, size: &Conv2dSize) -> Lanes {
        let lanes = |features| layout.lanes(size.samples, features);
        Lanes { inside: lanes(size.in_features()), outside: lanes(size.out_features()) }
    }
}

impl Conv2d for Cpu {
    fn conv2d_forward(&mut self, size: &Conv2dSize, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        size.check();
        assert_len("weight", weight.len(), size.weights());
        assert_len("bias", bias.map_or(size.out_channels, <[f32]>::len), size.out_channels);
        assert_len("x", x.len(), self.layout.len(size.samples, size.in_features()));
        assert_len("y", y.len(), self.layout.len(size.samples, size.out_features()));
        let lanes = Lanes::new(&self.layout, size);
        let operands = Operands { x, weight, bias, y, accumulation: Accumulation::Overwrite };
        match method(size) {
            Method::Direct => self.direct_forward(size, operands),
            Method::Pointwise => self.pointwise(size, lanes, false, operands),
            Method::Winograd => {
                self.winograd(size.samples, winograd::forward::Geometry::of_forward(size, lanes), operands);
            }
        }
    }

    fn conv2d_relu_forward(
        &mut self,
        size: &Conv2dSize,
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        self.conv2d_forward(size, x, weight, bias, y);
        self.activation_forward(&size.outputs(), Activation::Relu, y);
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
        assert_len("d_y", d_y.len(), self.layout.len(size.samples, size.out_features()));
        assert_len("d_x", d_x.len(), self.layout.len(size.samples, size.in_features()));
        let lanes = Lanes::new(&self.layout, size);
        let operands = Operands { x: d_y, weight, bias: None, y: d_x, accumulation };
        match method(size) {
            Method::Direct => self.direct_backward(size, operands),
            Method::Pointwise => self.pointwise(size, lanes, true, operands),
            Method::Winograd => {
                self.winograd(size.samples, winograd::forward::Geometry::of_backward(size, lanes), operands);
            }
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
        assert_len("x", x.len(), self.layout.len(size.samples, size.in_features()));
        assert_len("d_y", d_y.len(), self.layout.len(size.samples, size.out_features()));
        let lanes = Lanes::new(&self.layout, size);
        match weight_method(size) {
            WeightMethod::Samples => {
                let (x, d_y) = whole_planes(&self.layout, size, x, d_y);
                self.isa.run(DirectWeight { size, x: &x, d_y: &d_y, d_weight, scratch: &mut self.scratch });
            }
            WeightMethod::Channels => {
                let (x, d_y) = whole_planes(&self.layout, size, x, d_y);
                self.isa.run(ChannelWeight { size, x: &x, d_y: &d_y, d_weight, scratch: &mut self.scratch });
            }
            WeightMethod::Pointwise => {
                self.isa.run(PointwiseWeight { size, lanes, x, d_y, d_weight, scratch: &mut self.scratch });
            }
            WeightMethod::Winograd => {
                let scratch = &mut self.scratch;
                self.isa.run(winograd::backward_weight::BackwardWeight { size, lanes, x, d_y, d_weight, scratch });
            }
        }
        if let Some(d_bias) = d_bias {
            assert_len("d_bias", d_bias.len(), size.out_channels);
            let plane = size.out_height() * size.out_width() * lanes.outside;
            self.isa.run(BiasGradient { plane, d_y, d_bias, sums: &mut self.scratch.sums });
        }
    }
}

impl Cpu {
    fn direct_forward(&mut self, size: &Conv2dSize, operands: Operands<'_>) {
        let Operands { x, weight, bias, y, accumulation } = operands;
        let x = self.layout.whole("x", x, size.samples, size.in_features());
        let mut y = self.layout.whole_out("y", y, size.samples, size.out_features());
        let (geometry, scratch) = (Geometry::of_forward(size), &mut self.scratch);
        self.isa.run(Direct { geometry, x: &x, weight, bias, y: &mut y, accumulation, scratch });
    }

    fn direct_backward(&mut self, size: &Conv2dSize, operands: Operands<'_>) {
        let Operands { x, weight, bias, y, accumulation } = operands;
        let x = self.layout.whole("d_y", x, size.samples, size.out_features());
        let mut y = match accumulation {
            Accumulation::Overwrite => self.layout.whole_out("d_x", y, size.samples, size.in_features()),
            Accumulation::Add => self.layout.whole_mut("d_x", y, size.samples, size.in_features()),
        };
        for phase in 0..size.stride * size.stride {
            let geometry = Geometry::of_backward(size, (phase / size.stride, phase % size.stride));
            let scratch = &mut self.scratch;
            self.isa.run(Direct { geometry, x: &x, weight, bias, y: &mut y, accumulation, scratch });
        }
    }

    fn pointwise(&mut self, size: &Conv2dSize, lanes: Lanes, backward: bool, operands: Operands<'_>) {
        let Operands { x, weight, bias, y, accumulation } = operands;
        let scratch = &mut self.scratch;
        self.isa.run(Pointwise { size, lanes, backward, x, weight, bias, y, accumulation, scratch });
    }

    fn winograd(&mut self, samples: usize, geometry: winograd::forward::Geometry, operands: Operands<'_>) {
        let Operands { x, weight, bias, y, accumulation } = operands;
        let scratch = &mut self.scratch;
        self.isa.run(winograd::forward::Forward { geometry, samples, x, weight, bias, y, accumulation, scratch });
    }
}

/// Inputs and outputs, 16 samples abreast.
fn whole_planes<'a>(
    layout: &'a Layout,
    size: &Conv2dSize,
    x: &'a [f32],
    d_y: &'a [f32],
) -> (Whole<'a, f32>, Whole<'a, f32>) {
    let x = layout.whole("x", x, size.samples, size.in_features());
    (x, layout.whole("d_y", d_y, size.samples, size.out_features()))
}
