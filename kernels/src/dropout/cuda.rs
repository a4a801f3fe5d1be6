//! Dropout on a GPU.

use super::{Dropout, DropoutSize};
use crate::cuda::launch::{Argument, Grid, THREADS};
use crate::cuda::{Cuda, View, ViewMut, channels};

impl DropoutSize {
    /// What the kernel is started with before its operands.
    #[track_caller]
    fn arguments(&self) -> (Grid, [Argument; 3]) {
        // Without a plane, features lie as the places of one channel do.
        let (channels, plane) = match channels(self.features, self.plane) {
            _ if self.plane == 1 => (1, self.features),
            channels => (channels, self.plane),
        };
        // A channel may begin and end within a block of four words.
        let blocks = if channels == 1 || plane.is_multiple_of(4) { plane.div_ceil(4) } else { (plane + 3).div_ceil(4) };
        let grid = Grid::blocks([self.samples, (blocks * channels).div_ceil(THREADS as usize), 1]);
        let probability = f64::from(self.probability);
        let threshold = (probability * 2f64.powi(32)) as u32;
        let factor = (1.0 / (1.0 - probability)) as f32;
        (grid, [[self.features, channels, plane, blocks].into(), threshold.into(), factor.into()])
    }
}

impl Dropout for Cuda {
    fn dropout_forward(&mut self, size: &DropoutSize, keys: View<'_, u64>, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        size.check(keys.len());
        self.assert_activation("x", x.len(), size.samples, size.features);
        self.assert_activation("y", y.len(), size.samples, size.features);
        self.dropout(size, keys, x.into(), (&y).into());
    }

    fn dropout_backward(&mut self, size: &DropoutSize, keys: View<'_, u64>, d: ViewMut<'_, f32>) {
        size.check(keys.len());
        self.assert_activation("d", d.len(), size.samples, size.features);
        self.dropout(size, keys, (&d).into(), (&d).into());
    }
}

impl Cuda {
    fn dropout(&mut self, size: &DropoutSize, keys: View<'_, u64>, from: Argument, to: Argument) {
        let (grid, [size, threshold, factor]) = size.arguments();
        self.launch("dropout", grid, &[size, threshold, factor, keys.into(), from, to]);
    }
}
