//! Folds on a GPU.

use super::{BLOCK, Fold};
use crate::addition::Addition;
use crate::cuda::launch::Grid;
use crate::cuda::{Cuda, View, ViewMut, assert_len};

/// Threads that sum a block.
const LANES: usize = 16;

impl Fold for Cuda {
    fn fold_add(&mut self, sum: ViewMut<'_, f32>, value: View<'_, f32>) {
        self.accumulate(sum, value);
    }

    fn squared_norm(&mut self, x: View<'_, f32>) -> f64 {
        let mut sums = vec![0.0; x.len().div_ceil(BLOCK)];
        self.squared_block_norms(x, &mut sums);
        sums.iter().fold(0.0, |norm, sum| norm + sum)
    }

    fn squared_block_norms(&mut self, x: View<'_, f32>, sums: &mut [f64]) {
        let blocks = x.len().div_ceil(BLOCK);
        assert_len("sums", sums.len(), blocks);
        let on_device = self.scratch(2 * blocks);
        let arguments = [x.into(), on_device.into(), x.len().into()];
        self.launch("fold_squared_block_norms", Grid::elements(blocks * LANES), &arguments);
        self.download(on_device, sums);
    }
}
