//! Large convolutions on a GPU by cuDNN, where the device uses it.

use super::{Accumulation, Algorithm, Conv2dSize};
use crate::cuda::cudnn::{Behind, Convolution, Operand, Pass};
use crate::cuda::{Cuda, View, ViewMut, is_large};

impl Conv2dSize {
    /// Whether it is worth a library's call: a function of the sizes, `samples` among them. Never where the sums have to
    /// be as the formula has them.
    fn is_large(&self) -> bool {
        let outputs = self.samples * self.out_channels * self.out_height() * self.out_width();
        let terms = self.in_channels / self.groups * self.kernel * self.kernel;
        self.convolution == Algorithm::Auto && is_large(outputs.saturating_mul(terms))
    }
}

impl Cuda {
    fn convolution(&self, size: &Conv2dSize, pass: Pass) -> Convolution {
        Convolution { pass, size: *size, arithmetic: self.arithmetic() }
    }

    pub(super) fn takes(&self, size: &Conv2dSize) -> bool {
        self.has_dnn() && size.is_large()
    }

    pub(super) fn dnn_forward(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: Option<View<'_, f32>>,
        y: &ViewMut<'_, f32>,
    ) {
        if let Some(bias) = bias {
            return self.dnn_forward_and(size, Behind::Bias, [x, weight, bias], y);
        }
        let (_, [weight]) = self.as_factors(0, [weight]);
        let operands = [(Operand::X, x.address()), (Operand::Weight, weight), (Operand::Y, y.address())];
        self.convolve(&self.convolution(size, Pass::Forward(Behind::Nothing)), &operands);
    }

    /// With a bias and perhaps more behind it.
    pub(super) fn dnn_forward_and(
        &mut self,
        size: &Conv2dSize,
        behind: Behind,
        [x, weight, bias]: [View<'_, f32>; 3],
        y: &ViewMut<'_, f32>,
    ) {
        let (_, [weight, bias]) = self.as_factors(0, [weight, bias]);
        let (x, y) = ((Operand::X, x.address()), (Operand::Y, y.address()));
        let operands = [x, (Operand::Weight, weight), y, (Operand::Bias, bias)];
        self.convolve(&self.convolution(size, Pass::Forward(behind)), &operands);
    }

    pub(super) fn dnn_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
        accumulation: Accumulation,
    ) {
        let (_, [weight]) = self.as_factors(0, [weight]);
        let operands = [(Operand::X, d_x.address()), (Operand::Weight, weight), (Operand::Y, d_y.address())];
        self.convolve(&self.convolution(size, Pass::BackwardInput(accumulation)), &operands);
    }

    pub(super) fn dnn_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        d_y: View<'_, f32>,
        d_weight: ViewMut<'_, f32>,
    ) {
        let convolution = self.convolution(size, Pass::BackwardWeight);
        self.gradient_of_factor(0, d_weight, |device, _, d_weight| {
            let operands = [(Operand::X, x.address()), (Operand::Weight, d_weight), (Operand::Y, d_y.address())];
            device.convolve(&convolution, &operands);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_is_what_has_many_multiplications() {
        let size = |samples, channels, pixels, kernel| Conv2dSize {
            samples,
            in_channels: channels,
            out_channels: channels,
            height: pixels,
            width: pixels,
            kernel,
            padding: kernel / 2,
            ..Conv2dSize::PLAIN
        };
        // 2²⁸ multiplications, then a sample less.
        let least = size(64, 64, 32, 1);
        assert!(least.is_large());
        assert!(!Conv2dSize { samples: 63, ..least }.is_large());
        assert!(size(8, 64, 56, 3).is_large(), "ResNet's first blocks at 8 images");
        assert!(!size(64, 6, 28, 5).is_large(), "LeNet-5");
        assert!(!Conv2dSize { groups: 64, ..least }.is_large(), "channels by themselves");
        assert!(!Conv2dSize { convolution: Algorithm::Direct, ..least }.is_large());
        assert!(!size(0, 64, 32, 1).is_large());
    }
}
