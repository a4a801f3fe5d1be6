//! Images made smaller or larger: a window of one to a size, antialiased bilinear. Between decoding and micro-batch.

use fast_image_resize as fir;
use fir::images::{CroppedImage, Image, ImageRef};

use crate::decode::{Sides, View, Window};

/// What pixels of resized images depend on: part of the fingerprint.
pub const RESIZER: &str = "fast_image_resize 6.1.0";

/// What is done in the last pass over the pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// Whether the image is mirrored left to right.
    pub mirrored: bool,
    /// Grey levels that are added to each channel, kept within 0 to 255.
    pub shift: [i16; 3],
}

/// Resizes windows. Keeps its memory from image to image.
#[derive(Clone, Debug, Default)]
pub struct Resizer {
    resizer: fir::Resizer,
    resized: Vec<u8>,
}

impl Resizer {
    /// The view's window in another size, and of that `part` as `out` (channels, height, width).
    ///
    /// A pixel is `Σ pixel · w / Σ w` along each axis, `w = max(0, 1 − |distance between centres| / max(1, scale))`,
    /// over the window alone, as torchvision's `resized_crop` with `antialias` and Pillow's `BILINEAR`: within one grey
    /// level of the latter. In fixed point: the same bits on all instruction sets.
    ///
    /// # Panics
    /// If a side is 0, `part` is not inside of `sides`, or `out` is of another length than it.
    pub fn resize(&mut self, view: &View<'_>, sides: Sides, part: Window, finish: Finish, out: &mut [u8]) {
        assert_eq!(out.len(), part.sides.pixels() * view.channels, "{part:?}");
        let resized = match view.window.sides == sides {
            true => View { window: part.inside(view.window), ..*view },
            false => {
                self.resized.resize(sides.pixels() * view.channels, 0);
                self.sample(view, sides).unwrap_or_else(|problem| panic!("{view:?} to {sides:?}: {problem}"));
                View { pixels: &self.resized, sides, channels: view.channels, window: part }
            }
        };
        finish.apply(&resized, out);
    }

    /// Fills `resized`. An error says that the sizes don't fit.
    fn sample(&mut self, view: &View<'_>, sides: Sides) -> Result<(), Box<dyn std::error::Error>> {
        let kind = if view.channels == 3 { fir::PixelType::U8x3 } else { fir::PixelType::U8 };
        let Window { top, left, sides: window } = view.window;
        let side = |side: usize| u32::try_from(side);
        let image = ImageRef::new(side(view.sides.width)?, side(view.sides.height)?, view.pixels, kind)?;
        let image = CroppedImage::new(&image, side(left)?, side(top)?, side(window.width)?, side(window.height)?)?;
        let mut out = Image::from_slice_u8(side(sides.width)?, side(sides.height)?, &mut self.resized, kind)?;
        let bilinear = fir::ResizeAlg::Convolution(fir::FilterType::Bilinear);
        let options = fir::ResizeOptions::new().resize_alg(bilinear).use_alpha(false);
        Ok(self.resizer.resize(&image, &mut out, &options)?)
    }
}

impl Finish {
    /// From rows of pixels to planes of channels.
    fn apply(self, view: &View<'_>, out: &mut [u8]) {
        let (plane, width) = (view.window.sides.pixels(), view.window.sides.width);
        for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
            for (row, out) in view.rows().zip(out.chunks_exact_mut(width)) {
                let values = row[channel..].iter().step_by(view.channels);
                match self.mirrored {
                    true => out.iter_mut().rev().zip(values).for_each(|(out, value)| *out = *value),
                    false => out.iter_mut().zip(values).for_each(|(out, value)| *out = *value),
                }
            }
            add(self.shift[channel], out);
        }
    }
}

/// Adds to grey levels, within 0 to 255.
pub(crate) fn add(shift: i16, pixels: &mut [u8]) {
    let amount = shift.unsigned_abs().min(255) as u8;
    match shift.signum() {
        0 => {}
        1 => pixels.iter_mut().for_each(|pixel| *pixel = pixel.saturating_add(amount)),
        _ => pixels.iter_mut().for_each(|pixel| *pixel = pixel.saturating_sub(amount)),
    }
}

#[cfg(test)]
mod tests;
