//! Convolution with 2×2 maximum pooling on a GPU: the convolution into scratch memory and a pooling; on the way back the
//! gradient spread out in scratch memory, then the convolution's own passes. Products with gradients that are 0 are not
//! left out.

use super::{Conv2dMaxPool2d, Pooled, PooledMut, check, pooled_features, pooled_height, pooled_width};
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cuda::launch::{Argument, Grid};
use crate::cuda::scratch::Part;
use crate::cuda::{Cuda, View, ViewMut, assert_len};
use crate::device::Memory;

/// As the kernels take it.
fn argument(size: &Conv2dSize) -> Argument {
    let (height, width) = (size.out_height(), size.out_width());
    [size.samples, size.out_channels, height, width, pooled_height(size), pooled_width(size)].into()
}

impl Cuda {
    /// Words of the convolution's values, which the pooling goes over.
    fn convolved_words(&self, size: &Conv2dSize) -> usize {
        self.activation_len(size.samples, size.out_features())
    }

    /// Writes the gradient of the convolution's output.
    fn spread(&mut self, size: &Conv2dSize, d_y: &Pooled<'_, Cuda>, to: Part) {
        let arguments = [argument(size), d_y.values.into(), d_y.choice.into(), to.into()];
        self.launch("conv2d_max_pool2d_spread", Grid::elements(size.samples * size.out_features()), &arguments);
    }
}

#[track_caller]
fn check_gradient(device: &Cuda, size: &Conv2dSize, d_y: &Pooled<'_, Cuda>) {
    assert_len("choice", d_y.choice.len(), size.samples * pooled_features(size));
    device.assert_activation("d_y", d_y.values.len(), size.samples, pooled_features(size));
}

impl Conv2dMaxPool2d for Cuda {
    fn conv2d_max_pool2d_forward(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: View<'_, f32>,
        y: PooledMut<'_, Cuda>,
    ) {
        check(size);
        let outputs = size.samples * pooled_features(size);
        assert_len("weight", weight.len(), size.weights());
        assert_len("bias", bias.len(), size.out_channels);
        self.assert_activation("x", x.len(), size.samples, size.in_features());
        assert_len("choice", y.choice.len(), outputs);
        self.assert_activation("y", y.values.len(), size.samples, pooled_features(size));
        let words = self.convolved_words(size);
        let (values, turned) = self.scratch(words + size.weights()).split(words);
        self.convolution_forward(size, [x.into(), weight.into(), bias.into(), values.into()], turned);
        let arguments = [argument(size), values.into(), (&y.values).into(), (&y.choice).into()];
        self.launch("conv2d_max_pool2d_forward", Grid::elements(outputs), &arguments);
    }

    fn conv2d_max_pool2d_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: View<'_, f32>,
        d_y: Pooled<'_, Cuda>,
        d_x: ViewMut<'_, f32>,
    ) {
        check(size);
        assert_len("weight", weight.len(), size.weights());
        self.assert_activation("d_x", d_x.len(), size.samples, size.in_features());
        check_gradient(self, size, &d_y);
        let words = self.convolved_words(size);
        let (spread, turned) = self.scratch(words + size.weights()).split(words);
        self.spread(size, &d_y, spread);
        let operands = [weight.into(), spread.into(), (&d_x).into()];
        self.convolution_backward_input(size, operands, Accumulation::Overwrite, turned);
    }

    fn conv2d_max_pool2d_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        d_y: Pooled<'_, Cuda>,
        d_weight: ViewMut<'_, f32>,
        d_bias: ViewMut<'_, f32>,
    ) {
        check(size);
        assert_len("d_weight", d_weight.len(), size.weights());
        assert_len("d_bias", d_bias.len(), size.out_channels);
        self.assert_activation("x", x.len(), size.samples, size.in_features());
        check_gradient(self, size, &d_y);
        let words = self.convolved_words(size);
        let (spread, parts) = self.scratch(words + size.gradient_words()).split(words);
        self.spread(size, &d_y, spread);
        let operands = [x.into(), spread.into(), (&d_weight).into()];
        self.convolution_backward_weight(size, operands, Some((&d_bias).into()), parts);
    }
}
