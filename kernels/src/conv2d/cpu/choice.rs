//! Which kernel computes a convolution: a function of the sizes alone, `samples` left out.

use crate::conv2d::{Algorithm, Conv2dSize};
use crate::simd::WIDTH;

/// The ways to compute values and the gradient of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Direct,
    Pointwise,
    Winograd,
}

/// The ways to compute the gradient of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WeightMethod {
    /// The samples in the lanes.
    Samples,
    /// Channels in in the lanes.
    Channels,
    /// The same, for a 1×1 kernel.
    Pointwise,
    Winograd,
}

/// How to compute values, and the gradient of the input.
pub(super) fn method(size: &Conv2dSize) -> Method {
    if is_pointwise(size) && size.in_channels.min(size.out_channels) >= 8 {
        Method::Pointwise
    } else if winograd_pays(size) {
        Method::Winograd
    } else {
        Method::Direct
    }
}

/// How to compute the gradient of the weight.
pub(super) fn weight_method(size: &Conv2dSize) -> WeightMethod {
    if winograd_pays(size) {
        WeightMethod::Winograd
    } else if is_pointwise(size) && size.in_channels >= WIDTH {
        WeightMethod::Pointwise
    } else if size.in_channels / size.groups >= WIDTH {
        WeightMethod::Channels
    } else {
        WeightMethod::Samples
    }
}

fn is_pointwise(size: &Conv2dSize) -> bool {
    size.kernel == 1 && size.padding == 0 && size.groups == 1
}

/// Whether a 3×3 convolution has enough channels and fills its 4×4 tiles well enough: counted in multiply-adds of
/// packs, with the transforms of a tile at 250 a channel.
fn winograd_pays(size: &Conv2dSize) -> bool {
    let Conv2dSize { in_channels, out_channels, kernel, stride, dilation, groups, convolution, .. } = *size;
    let fits = kernel == 3 && stride == 1 && dilation == 1 && groups == 1;
    let channels = in_channels.min(out_channels) >= WIDTH;
    let tiles = |height: usize, width: usize| height.div_ceil(4) * width.div_ceil(4);
    let (height, width) = (size.out_height(), size.out_width());
    let winograd = tiles(height, width) * (36 * in_channels * out_channels + 250 * (in_channels + out_channels));
    let direct = 9 * height * width * in_channels * out_channels;
    convolution == Algorithm::Auto && fits && channels && winograd < direct
}
