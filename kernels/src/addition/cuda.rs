//! Element-wise sums on a GPU.

use super::Addition;
use crate::cuda::launch::Grid;
use crate::cuda::{Cuda, View, ViewMut, assert_len};

impl Addition for Cuda {
    fn add(&mut self, a: View<'_, f32>, b: View<'_, f32>, y: ViewMut<'_, f32>) {
        assert_len("b", b.len(), a.len());
        assert_len("y", y.len(), a.len());
        let len = self.values(a.len());
        self.launch("add", Grid::elements(len), &[a.into(), b.into(), (&y).into(), len.into()]);
    }

    fn accumulate(&mut self, sum: ViewMut<'_, f32>, value: View<'_, f32>) {
        assert_len("value", value.len(), sum.len());
        let len = self.values(sum.len());
        self.launch("accumulate", Grid::elements(len), &[(&sum).into(), value.into(), len.into()]);
    }
}
