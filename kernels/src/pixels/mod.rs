//! u8 pixels to normalised f32 activations: `y[n,f] = pixel[n,f] · scale[c] + shift[c]`, where c is the channel of f.

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
    /// Pixels of one channel of an image, height · width, whatever the network takes.
    pub image: usize,
    /// What each channel's grey levels become.
    pub levels: Levels,
}

/// A factor and a summand for each of three channels; further ones go by the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// `1 / (255 · std)`.
    pub scale: [f32; 3],
    /// `−mean / std`.
    pub shift: [f32; 3],
}

impl Levels {
    /// The same for all channels.
    pub fn of_all(scale: f32, shift: f32) -> Self {
        Self { scale: [scale; 3], shift: [shift; 3] }
    }
}

impl PixelsSize {
    /// What a grey level of this feature becomes.
    pub fn value(&self, feature: usize, pixel: u8) -> f32 {
        let (scale, shift) = self.level(feature);
        f32::from(pixel).mul_add(scale, shift)
    }

    /// Factor and summand of a feature.
    fn level(&self, feature: usize) -> (f32, f32) {
        let channel = self.channel(feature);
        (self.levels.scale[channel], self.levels.shift[channel])
    }

    /// Whose level a feature has.
    fn channel(&self, feature: usize) -> usize {
        feature.checked_div(self.image).unwrap_or(0).min(2)
    }
}

/// Contract of the pixel conversion.
///
/// # Panics
/// If a buffer's length differs from its shape.
pub trait Pixels: Memory {
    /// `pixels` (N, F) row-major u8; `y` (N, F) activation. Each value is one f32 fused multiply-add.
    fn pixels_forward(&mut self, size: &PixelsSize, pixels: Self::View<'_, u8>, y: Self::ViewMut<'_, f32>);
}
