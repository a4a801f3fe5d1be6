//! Activation functions on a GPU.

use super::{Activate, Activation, ActivationSize};
use crate::cuda::launch::{Argument, Grid};
use crate::cuda::{Cuda, View, ViewMut, assert_len};

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
        assert_len("x", x.len(), size.samples * size.features);
        let [number, slope] = function.arguments();
        self.launch("activation_forward", Grid::elements(x.len()), &[number, slope, (&x).into(), x.len().into()]);
    }

    fn activation_backward(
        &mut self,
        size: &ActivationSize,
        function: Activation,
        y: View<'_, f32>,
        d: ViewMut<'_, f32>,
    ) {
        function.check();
        assert_len("y", y.len(), size.samples * size.features);
        assert_len("d", d.len(), y.len());
        let [number, slope] = function.arguments();
        let arguments = [number, slope, y.into(), (&d).into(), d.len().into()];
        self.launch("activation_backward", Grid::elements(d.len()), &arguments);
    }
}
