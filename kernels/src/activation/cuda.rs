//! Activation functions on a GPU.

use super::{Activate, Activation, ActivationSize};
use crate::cuda::launch::{Argument, Grid};
use crate::cuda::{Cuda, View, ViewMut};

impl Activation {
    /// As the kernels take it: its number in their list, and a slope.
    fn arguments(self) -> [Argument; 2] {
        let (number, slope) = match self {
            Activation::Relu => (0, 0.0),
            Activation::LeakyRelu { slope } => (1, slope),
            Activation::Sigmoid => (2, 0.0),
            Activation::Tanh => (3, 0.0),
            Activation::ScaledTanh => (4, 0.0),
        };
        [u32::into(number), slope.into()]
    }
}

impl Activate for Cuda {
    fn activation_forward(&mut self, size: &ActivationSize, function: Activation, x: ViewMut<'_, f32>) {
        function.check();
        self.assert_activation("x", x.len(), size.samples, size.features);
        let ([number, slope], len) = (function.arguments(), size.samples * size.features);
        self.launch("activation_forward", Grid::elements(len), &[number, slope, (&x).into(), len.into()]);
    }

    fn activation_backward(
        &mut self,
        size: &ActivationSize,
        function: Activation,
        y: View<'_, f32>,
        d: ViewMut<'_, f32>,
    ) {
        function.check();
        self.assert_activation("y", y.len(), size.samples, size.features);
        self.assert_activation("d", d.len(), size.samples, size.features);
        let ([number, slope], len) = (function.arguments(), size.samples * size.features);
        let arguments = [number, slope, y.into(), (&d).into(), len.into()];
        self.launch("activation_backward", Grid::elements(len), &arguments);
    }
}
