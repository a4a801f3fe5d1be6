//! What a backward pass of second derivatives needs beside the gradients' ops.
//!
//! The diagonal of the Gauss–Newton matrix is estimated by one recursion (LeCun, Bottou, Bengio & Haffner 1998,
//! appendix C; LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", §9.1): a linear map `y = w·x` has
//! `h_x = Σ w²·h_y` and `h_w = Σ x²·h_y`, an activation `h_x = f′²·h_y`. So the ops of gradients, given squares, compute
//! it; what they lack is here.

mod cpu;
mod cuda;

use crate::cross_entropy::ClassesSize;
use crate::device::Memory;

/// A loss by the second derivatives that it has with respect to the outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Criterion {
    /// The same for all outputs, such as 2/K of the squared error.
    Quadratic {
        /// `∂²l/∂x²`.
        curvature: f32,
    },
    /// Of an output whose gradient is `scale · (p − t)` with a target t of 0 or 1 and `∂p/∂x = p(1 − p)`: softmax
    /// cross-entropy (scale 1) and the cross-entropy of sigmoids (1/K). The same form has the maximum a posteriori loss,
    /// whose label's output, of gradient 1, has none.
    Logistic {
        /// Of the gradient.
        scale: f32,
    },
}

/// Contract of the second derivatives.
///
/// # Panics
/// If a buffer's length differs from its shape or from another's.
pub trait Curvature: Memory {
    /// `y = x²`. Overwrites `y`; activations and parameters alike.
    fn square(&mut self, x: Self::View<'_, f32>, y: Self::ViewMut<'_, f32>);

    /// `x *= factor`.
    fn scale(&mut self, factor: f32, x: Self::ViewMut<'_, f32>);

    /// `d` (N, K) holds the gradient of the *sum* of losses and becomes the diagonal of its second derivatives, none of
    /// which is negative: `curvature`, or `|d|·(1 − |d|/scale)`, which is `scale·p(1 − p)` for either target. Padding
    /// samples get zero.
    fn output_curvature(&mut self, size: &ClassesSize, criterion: Criterion, d: Self::ViewMut<'_, f32>);
}
