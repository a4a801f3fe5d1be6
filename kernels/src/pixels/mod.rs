//! u8 pixels to normalised f32 activations: `y[n,f] = pixel[n,f] · scale + shift`.

mod cpu;
mod cuda;

use crate::device::Memory;

/// Sizes and constants of one conversion.
#[derive(Clone, Copy, Debug)]
pub struct PixelsSize {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Values a sample, F = channels · height · width.
    pub features: usize,
    /// Those of one channel, height · width; 1 where the network takes features without a plane.
    pub plane: usize,
    /// `1 / (255 · std)`.
    pub scale: f32,
    /// `−mean / std`.
    pub shift: f32,
}

/// Contract of the pixel conversion.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Pixels: Memory {
    /// `pixels` (N, F) row-major u8; `y` (N, F) activation. Each value is one f32 fused multiply-add.
    fn pixels_forward(&mut self, size: &PixelsSize, pixels: Self::View<'_, u8>, y: Self::ViewMut<'_, f32>);
}
