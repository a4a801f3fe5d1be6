//! Moving averages on a GPU.

use super::{AverageStep, MovingAverage};
use crate::cuda::launch::Grid;
use crate::cuda::{Cuda, View, ViewMut, assert_len};

impl MovingAverage for Cuda {
    fn moving_average(&mut self, step: &AverageStep, x: View<'_, f32>, average: ViewMut<'_, f32>) {
        assert_len("x", x.len(), average.len());
        let len = average.len();
        let arguments = [step.scale.into(), step.weight.into(), x.into(), (&average).into(), len.into()];
        self.launch("moving_average", Grid::elements(len), &arguments);
    }
}
