//! Bilinear sampling of an image at places that an affine map and a field of displacements name.

use super::affine::Affine;
use crate::dataset::ImageShape;

/// Background around the image: one pixel before, two behind, so that each place within ±1 of the image has its four
/// neighbours and the sampling no branches.
const BEFORE: usize = 1;
const AROUND: usize = 3;

/// Where an image's pixels come from.
#[derive(Clone, Copy, Debug)]
pub struct Warp<'a> {
    /// Of the image, and of what is sampled from it.
    pub shape: ImageShape,
    /// From a pixel of the result to its source.
    pub map: Affine,
    /// What is added to the source's x and y, in pixels: (height, width) each.
    pub displacement: Option<[&'a [f32]; 2]>,
}

impl Warp<'_> {
    /// Samples `pixels` into `out`, both (channels, height, width): `Σ pixel · max(0, 1 − |dx|) · max(0, 1 − |dy|)`
    /// over the source's neighbours, rounded to the nearest, halves up.
    ///
    /// # Panics
    /// If a length differs from the shape.
    pub fn sample(&self, pixels: &[u8], frame: &mut Frame, out: &mut [u8]) {
        let ImageShape { height, width, .. } = self.shape;
        assert_eq!((pixels.len(), out.len()), (self.shape.len(), self.shape.len()), "pixels of {:?}", self.shape);
        frame.hold(self.shape, pixels);
        match self.displacement {
            None => self.sample_at(|_| (0.0, 0.0), frame, out),
            Some([along_x, along_y]) => {
                let (along_x, along_y) = (&along_x[..height * width], &along_y[..height * width]);
                self.sample_at(|pixel| (along_x[pixel], along_y[pixel]), frame, out);
            }
        }
    }

    /// The same, with the displacement of each pixel.
    fn sample_at(&self, displacement: impl Fn(usize) -> (f32, f32), frame: &Frame, out: &mut [u8]) {
        let ImageShape { height, width, .. } = self.shape;
        let Affine { matrix: [[xx, xy], [yx, yy]], offset } = self.map;
        let (last_x, last_y) = (width as f32, height as f32);
        let centre = [(last_x - 1.0) * 0.5, (last_y - 1.0) * 0.5];
        for y in 0..height {
            let from_centre_y = y as f32 - centre[1];
            for x in 0..width {
                let from_centre_x = x as f32 - centre[0];
                let pixel = y * width + x;
                let (dx, dy) = displacement(pixel);
                let source_x = xx * from_centre_x + xy * from_centre_y + (offset[0] + centre[0]) + dx;
                let source_y = yx * from_centre_x + yy * from_centre_y + (offset[1] + centre[1]) + dy;
                // Farther out it is all background.
                let source_x = source_x.clamp(-1.0, last_x) + BEFORE as f32;
                let source_y = source_y.clamp(-1.0, last_y) + BEFORE as f32;
                frame.sample(source_x, source_y, &mut out[pixel..]);
            }
        }
    }
}

/// An image with background around it. Memory that is kept.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    shape: ImageShape,
    /// (channels, height + 3, width + 3).
    bytes: Vec<u8>,
}

impl Frame {
    fn hold(&mut self, shape: ImageShape, pixels: &[u8]) {
        let ImageShape { channels, height, width } = shape;
        if self.shape != shape {
            self.bytes.clear();
            self.bytes.resize(channels * (height + AROUND) * (width + AROUND), 0);
            self.shape = shape;
        }
        let planes = self.bytes.chunks_exact_mut((height + AROUND) * (width + AROUND));
        for (plane, pixels) in planes.zip(pixels.chunks_exact(height * width)) {
            let rows = plane.chunks_exact_mut(width + AROUND).skip(BEFORE);
            for (row, pixels) in rows.zip(pixels.chunks_exact(width)) {
                row[BEFORE..][..width].copy_from_slice(pixels);
            }
        }
    }

    /// Samples each channel at a place of the frame, for the first byte of `out` and those a plane behind it.
    fn sample(&self, x: f32, y: f32, out: &mut [u8]) {
        let ImageShape { channels, height, width } = self.shape;
        let stride = width + AROUND;
        let (column, row) = (x as u32, y as u32);
        let (right, down) = (x - column as f32, y - row as f32);
        for channel in 0..channels {
            let first = (channel * (height + AROUND) + row as usize) * stride + column as usize;
            let neighbours = &self.bytes[first..first + stride + 2];
            let [a, b] = [neighbours[0], neighbours[1]].map(f32::from);
            let [c, d] = [neighbours[stride], neighbours[stride + 1]].map(f32::from);
            let (upper, lower) = (a + (b - a) * right, c + (d - c) * right);
            out[channel * height * width] = (upper + (lower - upper) * down + 0.5) as u8;
        }
    }
}
