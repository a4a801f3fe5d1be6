//! Element-wise activation functions, in place.

mod cpu;

use crate::device::Memory;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`; derivative 0 at 0. A NaN stays a NaN.
    Relu,
    /// `1 / (1 + e^−x)`.
    Sigmoid,
    /// `tanh x`.
    Tanh,
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
/// If a buffer's length differs from its shape.
pub trait Activate: Memory {
    /// `x` becomes `f(x)`, in place.
    fn activation_forward(&mut self, size: &ActivationSize, function: Activation, x: Self::ViewMut<'_, f32>);

    /// `d` holds `d_y` and becomes `d_x = d_y · f′`, with `f′` computed from `y = f(x)`: relu `y > 0`,
    /// sigmoid `y(1 − y)`, tanh `1 − y²`.
    fn activation_backward(
        &mut self,
        size: &ActivationSize,
        function: Activation,
        y: Self::View<'_, f32>,
        d: Self::ViewMut<'_, f32>,
    );
}
