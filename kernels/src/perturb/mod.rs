//! The step up along a gradient: `w + ρ·g/‖g‖` (sharpness-aware minimisation; Foret et al. 2021, "Sharpness-aware
//! minimization for efficiently improving generalization", eq. 2), where another gradient is taken.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Constants of one step up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerturbStep {
    /// Samples whose gradients the sum holds; the sum is multiplied by `1/count`, rounded once to f32.
    pub count: u64,
    /// See [`PerturbStep::scale`].
    pub scale: f32,
}

impl PerturbStep {
    /// `1/count`, rounded once.
    fn reciprocal(&self) -> f32 {
        (1.0 / self.count as f64) as f32
    }

    /// `ρ / (‖g‖ + 1e-12)`, with the norm of the mean gradient.
    pub fn scale(rho: f64, norm: f64) -> f32 {
        (rho / (norm + 1e-12)) as f32
    }
}

/// Contract of the step up.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Perturb: Memory {
    /// `perturbed = w + scale · (gradient · 1/count)`, each operation rounded by itself. `gradient`: a sum over samples.
    fn perturb(
        &mut self,
        step: &PerturbStep,
        gradient: Self::View<'_, f32>,
        parameters: Self::View<'_, f32>,
        perturbed: Self::ViewMut<'_, f32>,
    );
}
