//! Convolution with 2×2 maximum pooling on the CPU.
//!
//! A window passes its gradient to one of its four pixels, another in each lane. So the backward kernels select, lane by
//! lane, the input (or the weights) that belongs to the chosen pixel and multiply once or twice, not four times; selections
//! run beside the multiplications. Kernels of 3 and 5 do so; others spread the gradient out and use the plain convolution.
//!
//! Order of operations, for any instruction set. Forward: as the convolution's. A weight's gradient, for kernels of
//! 3 and 5: 16 sums, one a lane, that add groups in order, then windows row by row, and are added by the tree of
//! `horizontal_sums`. `d_x`: windows row by row, each adding its own sum over output channels.

mod backward_input;
mod backward_weight;
mod forward;

use std::mem::take;

use super::{Conv2dMaxPool2d, Pooled, PooledMut, check, pooled_features, pooled_height, pooled_width};
use crate::conv2d::{Accumulation, Conv2d, Conv2dSize};
use crate::cpu::{Cpu, assert_len};
use crate::pool2d::{Pool2d, Pool2dSize};
use crate::simd::{Pack, WIDTH};
use backward_input::BackwardInput;
use backward_weight::BackwardWeight;
use forward::Forward;

/// Gradients of windows and the places that they go to.
type Gradient<'a> = (&'a [Pack], &'a [[u8; WIDTH]]);

/// Whether the backward passes have kernels that select.
fn selects(size: &Conv2dSize) -> bool {
    matches!(size.kernel, 3 | 5)
}

fn pool_size(size: &Conv2dSize) -> Pool2dSize {
    Pool2dSize {
        samples: size.samples,
        channels: size.out_channels,
        height: size.out_height(),
        width: size.out_width(),
        window: 2,
        stride: 2,
        padding: 0,
    }
}

impl Conv2dMaxPool2d for Cpu {
    fn conv2d_max_pool2d_forward(
        &mut self,
        size: &Conv2dSize,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        y: PooledMut<'_, Cpu>,
    ) {
        check(size);
        let features = pooled_features(size);
        assert_len("weight", weight.len(), size.weights());
        assert_len("bias", bias.len(), size.out_channels);
        let x = self.layout.whole("x", x, size.samples, size.in_features());
        let mut choice = self.layout.whole_out("choice", y.choice, size.samples, features);
        let mut y = self.layout.whole_out("y", y.values, size.samples, features);
        self.isa.run(Forward { size, x: &x, weight, bias, y: &mut y, choice: &mut choice, scratch: &mut self.scratch });
    }

    fn conv2d_max_pool2d_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: &[f32],
        d_y: Pooled<'_, Cpu>,
        d_x: &mut [f32],
    ) {
        check(size);
        if !selects(size) {
            let mut spread = take(&mut self.scratch.spread);
            let d = spread.numbers(self.layout.len(size.samples, size.out_features()));
            self.max_pool2d_backward(&pool_size(size), d_y.values, d_y.choice, d);
            self.conv2d_backward_input(size, weight, d, d_x, Accumulation::Overwrite);
            self.scratch.spread = spread;
            return;
        }
        let features = pooled_features(size);
        assert_len("weight", weight.len(), size.weights());
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.in_features());
        let choice = self.layout.whole("choice", d_y.choice, size.samples, features);
        let d_y = self.layout.whole("d_y", d_y.values, size.samples, features);
        self.isa.run(BackwardInput {
            size,
            weight,
            d_y: &d_y,
            choice: &choice,
            d_x: &mut d_x,
            scratch: &mut self.scratch,
        });
    }

    fn conv2d_max_pool2d_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: &[f32],
        d_y: Pooled<'_, Cpu>,
        d_weight: &mut [f32],
        d_bias: &mut [f32],
    ) {
        check(size);
        if !selects(size) {
            let mut spread = take(&mut self.scratch.spread);
            let d = spread.numbers(self.layout.len(size.samples, size.out_features()));
            self.max_pool2d_backward(&pool_size(size), d_y.values, d_y.choice, d);
            self.conv2d_backward_weight(size, x, d, d_weight, Some(d_bias));
            self.scratch.spread = spread;
            return;
        }
        let features = pooled_features(size);
        assert_len("d_weight", d_weight.len(), size.weights());
        assert_len("d_bias", d_bias.len(), size.out_channels);
        let x = self.layout.whole("x", x, size.samples, size.in_features());
        let choice = self.layout.whole("choice", d_y.choice, size.samples, features);
        let d_y = self.layout.whole("d_y", d_y.values, size.samples, features);
        self.isa.run(BackwardWeight {
            size,
            x: &x,
            d_y: &d_y,
            choice: &choice,
            d_weight,
            d_bias,
            scratch: &mut self.scratch,
        });
    }
}
