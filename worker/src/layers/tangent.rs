//! A layer's passes of tangents, for exact products with the Hessian (Pearlmutter 1994, "Fast exact multiplication by the
//! Hessian"): with weights w + ε·v, forward the derivative by ε of the value behind the layer, and on the way back that of
//! gradients. A product costs what about nine forward passes cost, for linear maps three each way.

use lockstep_kernels::activation::ActivationSize;
use lockstep_kernels::device::Device;
use lockstep_kernels::tangent::Bend;

use super::activation::Behind;
use super::{Inputs, MAX_INPUTS, MicroBatch, Own};

/// Memory that a layer's passes of tangents need beside what they read and write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spare {
    /// Elements for parameters.
    pub parameters: usize,
    /// Values a sample, of two activations.
    pub features: [usize; 2],
}

/// The memory itself, of any content.
pub struct SpareMut<'a, D: Device> {
    /// For parameters.
    pub parameters: D::ViewMut<'a, f32>,
    /// For values.
    pub values: [D::ViewMut<'a, f32>; 2],
}

/// What both ways have in common.
pub struct Tangent<'a, D: Device> {
    /// The micro-batch.
    pub batch: MicroBatch<'a, D>,
    /// Its tensors.
    pub own: Own<'a, D>,
    /// Its part of v, as its parameters.
    pub direction: D::View<'a, f32>,
    /// Whether dropout leaves values out, as in training.
    pub drops: bool,
    /// Values before the layer, all of them.
    pub inputs: Inputs<'a, D>,
    /// Their tangents; none for those that no weight moves, such as the samples.
    pub r_inputs: Inputs<'a, D>,
    /// Value behind it.
    pub y: D::View<'a, f32>,
    /// What the forward pass noted.
    pub choices: D::View<'a, u8>,
    /// Memory as the layer asks for it.
    pub spare: SpareMut<'a, D>,
}

/// The gradient of a value before a layer, and its tangent.
pub struct TangentGradient<'a, D: Device> {
    /// Overwritten.
    pub d_x: D::ViewMut<'a, f32>,
    /// Overwritten.
    pub r_d_x: D::ViewMut<'a, f32>,
}

/// What a layer reads and writes on the way back of tangents.
pub struct TangentBack<'a, D: Device> {
    /// What was there on the way forward.
    pub at: Tangent<'a, D>,
    /// Tangent of the value behind it.
    pub r_y: D::View<'a, f32>,
    /// Gradient behind the layer; may be overwritten.
    pub d_y: D::ViewMut<'a, f32>,
    /// Its tangent; may be overwritten.
    pub r_d_y: D::ViewMut<'a, f32>,
    /// Before the layer; none for values that no weight moves.
    pub before: [Option<TangentGradient<'a, D>>; MAX_INPUTS],
    /// Tangent of the gradient of its parameters: their part of H·v. Overwritten.
    pub product: D::ViewMut<'a, f32>,
}

impl Behind {
    fn len<D: Device>(self, device: &D) -> usize {
        device.activation_len(self.samples, self.features)
    }

    /// `r_y` holds the tangent of what the function is taken of, and becomes that of its values y.
    pub(super) fn tangent<D: Device>(self, device: &mut D, y: D::View<'_, f32>, mut r_y: D::ViewMut<'_, f32>) {
        self.backward(device, Some(y), &mut r_y);
    }

    /// Both gradients behind the function become those before it: `f′·d_y`, and `f′·r_d_y + f″·r_x·d_y`.
    pub(super) fn tangent_back<D: Device>(
        self,
        device: &mut D,
        (y, r_y): (D::View<'_, f32>, D::View<'_, f32>),
        d_y: &mut D::ViewMut<'_, f32>,
        r_d_y: &mut D::ViewMut<'_, f32>,
    ) {
        let Some(function) = self.function else { return };
        let len = self.len(device);
        self.backward(device, Some(D::reborrow(y)), r_d_y);
        let size = ActivationSize { samples: self.samples, features: self.features };
        {
            let behind = D::shared(D::slice_mut(d_y, 0..len));
            let at = Bend { y: D::reborrow(y), r_y: D::reborrow(r_y), d_y: behind };
            device.bend(&size, function, at, D::slice_mut(r_d_y, 0..len));
        }
        self.backward(device, Some(y), d_y);
    }
}
