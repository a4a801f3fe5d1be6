//! Large convolutions on a GPU by cuDNN, where the device uses it.

use super::{Accumulation, Algorithm, Conv2dSize};
use crate::cuda::cudnn::{Behind, Convolution, Operand, Pass};
use crate::cuda::{Arithmetic, Cuda, View, ViewMut, is_large};

impl Conv2dSize {
    /// Whether it is worth a library's call: a function of the sizes, `samples` among them. Never where the sums have to
    /// be as the formula has them.
    fn is_large(&self) -> bool {
        let outputs = self.samples * self.out_channels * self.out_height() * self.out_width();
        let terms = self.in_channels / self.groups * self.kernel * self.kernel;
        self.convolution == Algorithm::Auto && is_large(outputs.saturating_mul(terms))
    }
}

fn convolution(size: &Conv2dSize, pass: Pass) -> Convolution {
    Convolution { pass, size: *size, arithmetic: Arithmetic::F32 }
}

impl Cuda {
    pub(super) fn takes(&self, size: &Conv2dSize) -> bool {
        self.has_dnn() && size.is_large()
    }

    pub(super) fn dnn_forward(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: Option<View<'_, f32>>,
        y: ViewMut<'_, f32>,
    ) {
        let behind = if bias.is_some() { Behind::Bias } else { Behind::Nothing };
        let mut operands =
            vec![(Operand::X, x.address()), (Operand::Weight, weight.address()), (Operand::Y, y.address())];
        operands.extend(bias.map(|bias| (Operand::Bias, bias.address())));
        self.convolve(&convolution(size, Pass::Forward(behind)), &operands);
    }

    pub(super) fn dnn_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
        accumulation: Accumulation,
    ) {
        let operands = [(Operand::X, d_x.address()), (Operand::Weight, weight.address()), (Operand::Y, d_y.address())];
        self.convolve(&convolution(size, Pass::BackwardInput(accumulation)), &operands);
    }

    pub(super) fn dnn_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        d_y: View<'_, f32>,
        d_weight: ViewMut<'_, f32>,
    ) {
        let operands = [(Operand::X, x.address()), (Operand::Weight, d_weight.address()), (Operand::Y, d_y.address())];
        self.convolve(&convolution(size, Pass::BackwardWeight), &operands);
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
