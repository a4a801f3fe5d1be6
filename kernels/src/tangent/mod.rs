//! What tangents need beside the ops of values and gradients: Pearlmutter's R-operator (Pearlmutter 1994, "Fast exact
//! multiplication by the Hessian").
//!
//! With weights w + ε·v, `r_x` is the derivative of a value x by ε at 0, and `r_d` that of a gradient d. Linear maps pass
//! tangents on as values, so that the ops of layers compute them; what bends is here.

mod cpu;
mod cuda;

use crate::activation::{Activation, ActivationSize};
use crate::cross_entropy::ClassesSize;
use crate::device::Memory;
use crate::pool2d::Pool2dSize;

/// A loss over classes by how its gradient d changes with the outputs x, sample by sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OutputTangent {
    /// Softmax cross-entropy, of any labels: `r_d = p·(r_x − Σ p·r_x)` with p = softmax(x).
    Softmax,
    /// Cross-entropy of sigmoids s: `r_d = scale · s(1 − s)·r_x`.
    Sigmoid {
        /// Of the gradient, 1/K.
        scale: f32,
    },
    /// Squared error: `r_d = curvature · r_x`.
    Quadratic {
        /// 2/K.
        curvature: f32,
    },
    /// The maximum a posteriori loss: `r_d = q·(r_x − Σ q·r_x)`, where q are the wrong answers' shares, max(0, −d).
    Shares,
}

/// What a gradient on its way back meets of an activation function.
pub struct Bend<'a, M: Memory> {
    /// The function's values.
    pub y: M::View<'a, f32>,
    /// Their tangent.
    pub r_y: M::View<'a, f32>,
    /// The gradient behind it.
    pub d_y: M::View<'a, f32>,
}

/// A loss' outputs and its gradient there.
pub struct AtOutputs<'a, M: Memory> {
    /// (N, K)
    pub x: M::View<'a, f32>,
    /// (N, K), of the sum of losses.
    pub d_x: M::View<'a, f32>,
}

/// Contract of the tangents.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Tangent: Memory {
    /// `r_d += f″·r_x·d_y`, behind [`crate::activation::Activate::activation_backward`], which has made `f′·r_d` of it.
    /// By y alone: with k = df′/dy it is k(y)·r_y·d_y; k is 1 − 2y of the sigmoid, −2y of tanh, −2y·(2/3)/1.7159 of the
    /// scaled tanh, 0 of those that are linear in pieces.
    fn bend(&mut self, size: &ActivationSize, function: Activation, at: Bend<'_, Self>, r_d: Self::ViewMut<'_, f32>);

    /// `y` = the value of each window at the place that [`crate::pool2d::Pool2d::max_pool2d_forward`] chose. Overwrites
    /// `y`.
    fn chosen(
        &mut self,
        size: &Pool2dSize,
        x: Self::View<'_, f32>,
        choice: Self::View<'_, u8>,
        y: Self::ViewMut<'_, f32>,
    );

    /// `r` (N, K) holds the outputs' tangent and becomes that of the gradient of the *sum* of losses; zero for padding
    /// samples.
    fn output_tangent(
        &mut self,
        size: &ClassesSize,
        loss: OutputTangent,
        at: AtOutputs<'_, Self>,
        r: Self::ViewMut<'_, f32>,
    );
}

impl Activation {
    /// c of `df′/dy = one + c·y`, and the one; none where f has no second derivative.
    fn bend(self) -> Option<(f32, f32)> {
        match self {
            Activation::Relu | Activation::LeakyRelu { .. } => None,
            Activation::Sigmoid => Some((1.0, -2.0)),
            Activation::Tanh => Some((0.0, -2.0)),
            // f′ = S·(A − y²/A).
            Activation::ScaledTanh => Some((0.0, -2.0 * (2.0 / 3.0) / 1.7159)),
        }
    }
}
