//! Pixel conversion on a GPU.

use super::{Pixels, PixelsSize};
use crate::cuda::launch::{Grid, THREADS};
use crate::cuda::{Cuda, View, ViewMut, assert_len, channels};

impl Pixels for Cuda {
    fn pixels_forward(&mut self, size: &PixelsSize, pixels: View<'_, u8>, y: ViewMut<'_, f32>) {
        let PixelsSize { samples, features, plane, image, levels } = *size;
        let channels = channels(features, plane);
        assert_len("pixels", pixels.len(), samples * features);
        self.assert_activation("y", y.len(), samples, features);
        let grid = Grid::blocks([samples, features.div_ceil(THREADS as usize), 1]);
        let sizes = [features, channels, plane, image].into();
        let levels = [levels.scale, levels.shift].map(|three| three.map(f32::to_bits));
        let levels: [u32; 6] = std::array::from_fn(|i| levels.as_flattened()[i]);
        self.launch("pixels", grid, &[sizes, levels.into(), pixels.into(), (&y).into()]);
    }
}
