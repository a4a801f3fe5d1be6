//! Exponential moving averages: of weights (Polyak & Juditsky 1992; Tarvainen & Valpola 2017) and of statistics.

mod cpu;
mod cuda;

pub(crate) use cpu::interpolate;

use crate::device::Memory;

/// Constants of one step of an average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AverageStep {
    /// What the new values are multiplied by first, such as `1/count` for sums; 1 for none.
    pub scale: f32,
    /// Weight of the new values, 1 − decay. One above 1 goes beyond them.
    pub weight: f32,
}

/// Contract of the moving average.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait MovingAverage: Memory {
    /// `average += weight · (scale·x − average)`, and from weight ½ on `scale·x − (scale·x − average) · (1 − weight)`,
    /// as `torch.lerp`, every operation rounded by itself.
    fn moving_average(&mut self, step: &AverageStep, x: Self::View<'_, f32>, average: Self::ViewMut<'_, f32>);
}
