//! Poolings on a GPU.

use super::{AdaptivePool2dSize, Pool2d, Pool2dSize};
use crate::cuda::launch::{Argument, Grid, narrow};
use crate::cuda::{Cuda, View, ViewMut, assert_len};

impl Pool2dSize {
    /// As the kernels take it.
    fn argument(&self) -> Argument {
        let Pool2dSize { channels, height, width, window, stride, padding, .. } = *self;
        [channels, height, width, window, stride, padding, self.out_height(), self.out_width()].into()
    }

    #[track_caller]
    fn check_lengths(&self, device: &Cuda, (inside, in_len): (&str, usize), (outside, out_len): (&str, usize)) {
        self.check();
        device.assert_activation(inside, in_len, self.samples, self.in_features());
        device.assert_activation(outside, out_len, self.samples, self.out_features());
    }
}

impl AdaptivePool2dSize {
    /// As the kernels take it.
    fn argument(&self) -> Argument {
        let AdaptivePool2dSize { channels, height, width, out_height, out_width, .. } = *self;
        // Where a cell ends is counted in parts of a row.
        narrow((height + 1) * (out_height + 1));
        narrow((width + 1) * (out_width + 1));
        [channels, height, width, out_height, out_width].into()
    }

    #[track_caller]
    fn check_lengths(&self, device: &Cuda, (inside, in_len): (&str, usize), (outside, out_len): (&str, usize)) {
        self.check();
        device.assert_activation(inside, in_len, self.samples, self.in_features());
        device.assert_activation(outside, out_len, self.samples, self.out_features());
    }
}

impl Pool2d for Cuda {
    fn max_pool2d_forward(
        &mut self,
        size: &Pool2dSize,
        x: View<'_, f32>,
        y: ViewMut<'_, f32>,
        choice: ViewMut<'_, u8>,
    ) {
        size.check_lengths(self, ("x", x.len()), ("y", y.len()));
        let len = size.samples * size.out_features();
        assert_len("choice", choice.len(), len);
        let arguments = [size.argument(), x.into(), (&y).into(), (&choice).into(), len.into()];
        self.launch("max_pool2d_forward", Grid::elements(len), &arguments);
    }

    fn max_pool2d_backward(
        &mut self,
        size: &Pool2dSize,
        d_y: View<'_, f32>,
        choice: View<'_, u8>,
        d_x: ViewMut<'_, f32>,
    ) {
        size.check_lengths(self, ("d_x", d_x.len()), ("d_y", d_y.len()));
        let len = size.samples * size.in_features();
        assert_len("choice", choice.len(), size.samples * size.out_features());
        let arguments = [size.argument(), d_y.into(), choice.into(), (&d_x).into(), len.into()];
        self.launch("max_pool2d_backward", Grid::elements(len), &arguments);
    }

    fn average_pool2d_forward(&mut self, size: &Pool2dSize, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        size.check_lengths(self, ("x", x.len()), ("y", y.len()));
        let len = size.samples * size.out_features();
        let arguments = [size.argument(), x.into(), (&y).into(), len.into()];
        self.launch("average_pool2d_forward", Grid::elements(len), &arguments);
    }

    fn average_pool2d_backward(&mut self, size: &Pool2dSize, d_y: View<'_, f32>, d_x: ViewMut<'_, f32>) {
        size.check_lengths(self, ("d_x", d_x.len()), ("d_y", d_y.len()));
        let len = size.samples * size.in_features();
        let arguments = [size.argument(), d_y.into(), (&d_x).into(), len.into()];
        self.launch("average_pool2d_backward", Grid::elements(len), &arguments);
    }

    fn adaptive_average_pool2d_forward(&mut self, size: &AdaptivePool2dSize, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        size.check_lengths(self, ("x", x.len()), ("y", y.len()));
        let len = size.samples * size.out_features();
        let arguments = [size.argument(), x.into(), (&y).into(), len.into()];
        self.launch("adaptive_average_pool2d_forward", Grid::elements(len), &arguments);
    }

    fn adaptive_average_pool2d_backward(
        &mut self,
        size: &AdaptivePool2dSize,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
    ) {
        size.check_lengths(self, ("d_x", d_x.len()), ("d_y", d_y.len()));
        let len = size.samples * size.in_features();
        let arguments = [size.argument(), d_y.into(), (&d_x).into(), len.into()];
        self.launch("adaptive_average_pool2d_backward", Grid::elements(len), &arguments);
    }
}
