//! Pixel conversion on a GPU: bytes are uploaded, a quarter of what values would be.

use super::{Pixels, PixelsSize};
use crate::cuda::launch::{Grid, THREADS};
use crate::cuda::{Cuda, ViewMut, assert_len, channels};

impl Pixels for Cuda {
    fn pixels_forward(&mut self, size: &PixelsSize, pixels: &[u8], y: ViewMut<'_, f32>) {
        let PixelsSize { samples, features, plane, scale, shift } = *size;
        let channels = channels(features, plane);
        assert_len("pixels", pixels.len(), samples * features);
        assert_len("y", y.len(), samples * features);
        let from = self.upload_bytes(pixels);
        let grid = Grid::blocks([samples, features.div_ceil(THREADS as usize), 1]);
        let sizes = [features, channels, plane].into();
        self.launch("pixels", grid, &[sizes, scale.into(), shift.into(), from.into(), (&y).into()]);
    }
}
