//! 2-D convolution: `y[n,o,i,j] = b[o] + Σ x[n,c,i·s+u·d−p,j·s+v·d−p] · w[o,c,u,v]`, c over the channels of o's group.

pub(crate) mod cpu;
mod cuda;
mod cudnn;

use crate::activation::ActivationSize;
use crate::device::Memory;

/// How a convolution may be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// What is fastest for the shape: a pure function of the sizes, `samples` left out, so that a sample's values do
    /// not depend on how many others are with it. Errors stay below 2e-5 of the largest value. On a GPU with cuDNN
    /// `samples` counts as well.
    #[default]
    Auto,
    /// Sums of products as the formula has them: a few times as accurate.
    Direct,
}

/// What an op does with the values that its output already holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accumulation {
    /// They are lost.
    Overwrite,
    /// The result is added to them: where two paths of a network meet on the way back.
    Add,
}

/// Sizes of a convolution, the same in both directions of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels in, C.
    pub in_channels: usize,
    /// Channels out, O.
    pub out_channels: usize,
    /// Input height, H.
    pub height: usize,
    /// Input width, W.
    pub width: usize,
    /// Kernel height and width, K.
    pub kernel: usize,
    /// Pixels from one window to the next, s.
    pub stride: usize,
    /// Zeros around the input on every side, p.
    pub padding: usize,
    /// Pixels from one element of the kernel to the next, d.
    pub dilation: usize,
    /// Groups of channels that see only themselves: a divisor of C and of O.
    pub groups: usize,
    /// How it may be computed.
    pub convolution: Algorithm,
}

impl Conv2dSize {
    /// Stride, dilation and groups 1, no padding, any algorithm: `Conv2dSize { samples, …, ..Conv2dSize::PLAIN }`.
    pub const PLAIN: Conv2dSize = Conv2dSize {
        samples: 0,
        in_channels: 0,
        out_channels: 0,
        height: 0,
        width: 0,
        kernel: 1,
        stride: 1,
        padding: 0,
        dilation: 1,
        groups: 1,
        convolution: Algorithm::Auto,
    };

    /// H′ = ⌊(H + 2p − d(K − 1) − 1) / s⌋ + 1.
    pub fn out_height(&self) -> usize {
        self.out_length(self.height)
    }

    /// W′ = ⌊(W + 2p − d(K − 1) − 1) / s⌋ + 1.
    pub fn out_width(&self) -> usize {
        self.out_length(self.width)
    }

    fn out_length(&self, length: usize) -> usize {
        (length + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) / self.stride + 1
    }

    /// Of its outputs, for a function of each.
    fn outputs(&self) -> ActivationSize {
        ActivationSize { samples: self.samples, features: self.out_features() }
    }

    /// Elements of the weight: O · C / groups · K².
    pub fn weights(&self) -> usize {
        self.out_channels * self.in_channels / self.groups * self.kernel * self.kernel
    }
}

/// Contract of the convolution.
///
/// # Panics
/// If a buffer's length differs from its shape, the kernel doesn't fit the padded image, a size is zero, or the groups
/// don't divide the channels.
pub trait Conv2d: Memory {
    /// `x` (N, C, H, W), `y` (N, O, H′, W′) activations, `weight` (O, C / groups, K, K), `bias` (O), 0 if absent.
    fn conv2d_forward(
        &mut self,
        size: &Conv2dSize,
        x: Self::View<'_, f32>,
        weight: Self::View<'_, f32>,
        bias: Option<Self::View<'_, f32>>,
        y: Self::ViewMut<'_, f32>,
    );

    /// The same with a ReLU behind it, by a GPU's library perhaps in the same pass; else with the bits of the two.
    fn conv2d_relu_forward(
        &mut self,
        size: &Conv2dSize,
        x: Self::View<'_, f32>,
        weight: Self::View<'_, f32>,
        bias: Option<Self::View<'_, f32>>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `d_x[n,c,h,w] = Σ d_y[n,o,i,j] · w[o,c,u,v]` over `i·s + u·d − p = h`, `j·s + v·d − p = w`.
    /// Overwrites `d_x` or adds to it.
    fn conv2d_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_x: Self::ViewMut<'_, f32>,
        accumulation: Accumulation,
    );

    /// `d_w[o,c,u,v] = Σ d_y[n,o,i,j] · x[n,c,i·s+u·d−p,j·s+v·d−p]`, `d_b[o] = Σ d_y[n,o,i,j]`. Overwrites both.
    /// Padding samples of `d_y` must be zero.
    fn conv2d_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: Self::View<'_, f32>,
        d_y: Self::View<'_, f32>,
        d_weight: Self::ViewMut<'_, f32>,
        d_bias: Option<Self::ViewMut<'_, f32>>,
    );
}
