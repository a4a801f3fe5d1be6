//! Element-wise activation functions, in place.

mod cpu;
mod cuda;

use crate::device::Memory;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`; derivative 0 at 0. A NaN stays a NaN.
    Relu,
    /// `x` where `x > 0`, else `slope · x`; derivative `slope` at 0.
    LeakyRelu {
        /// From 0 to below 1: the sign of the output then tells that of the input.
        slope: f32,
    },
    /// `1 / (1 + e^−x)`.
    Sigmoid,
    /// `tanh x`.
    Tanh,
    /// `1.7159 · tanh(2/3 · x)` (LeCun, Bottou, Bengio & Haffner 1998, appendix A): close to ±1 at ±1, where its second
    /// derivative is largest.
    ScaledTanh,
}

impl Activation {
    #[track_caller]
    fn check(&self) {
        if let Activation::LeakyRelu { slope } = self {
            assert!((0.0..1.0).contains(slope), "slope {slope} is not in [0, 1)");
        }
    }
}

/// Sizes of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Values a sample.
    pub features: usize,
}

/// Contract of the activations.
///
/// # Panics
/// If a buffer's length differs from its shape, or a slope is outside its range.
pub trait Activate: Memory {
    /// `x` becomes `f(x)`, in place.
    fn activation_forward(&mut self, size: &ActivationSize, function: Activation, x: Self::ViewMut<'_, f32>);

    /// `d` holds `d_y` and becomes `d_x = d_y · f′`, with `f′` computed from `y = f(x)`: relu `y > 0`,
    /// leaky relu `y > 0 ? 1 : slope`, sigmoid `y(1 − y)`, tanh `1 − y²`, scaled tanh `2/3 · (1.7159 − y²/1.7159)`.
    fn activation_backward(
        &mut self,
        size: &ActivationSize,
        function: Activation,
        y: Self::View<'_, f32>,
        d: Self::ViewMut<'_, f32>,
    );
}
