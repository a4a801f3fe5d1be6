//! Images moved by whole pixels and mirrored.

use crate::dataset::ImageShape;

/// A window of the image's size, then its mirror image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// Rows from the image's top to the window's.
    pub(super) down: i32,
    /// Columns from the image's left to the window's.
    pub(super) right: i32,
    /// Whether it is mirrored left to right.
    pub(super) mirrored: bool,
}

impl Placement {
    /// Copies from `pixels` to `out`, both (channels, height, width); 0 where the window is outside of the image.
    pub(super) fn copy(self, shape: ImageShape, pixels: &[u8], out: &mut [u8]) {
        let ImageShape { height, width, .. } = shape;
        for (pixels, out) in pixels.chunks_exact(height * width).zip(out.chunks_exact_mut(height * width)) {
            for (y, out) in out.chunks_exact_mut(width).enumerate() {
                let source = usize::try_from(y as i32 + self.down).ok().filter(|&row| row < height);
                self.copy_row(source.map(|row| &pixels[row * width..][..width]), out);
            }
        }
    }

    fn copy_row(self, source: Option<&[u8]>, out: &mut [u8]) {
        out.fill(0);
        let Some(source) = source else { return };
        // Before the window, or after the image, as many are missing.
        let missing = (self.right.unsigned_abs() as usize).min(out.len());
        let kept = out.len() - missing;
        match self.right < 0 {
            true => out[missing..].copy_from_slice(&source[..kept]),
            false => out[..kept].copy_from_slice(&source[missing..]),
        }
        if self.mirrored {
            out.reverse();
        }
    }
}
