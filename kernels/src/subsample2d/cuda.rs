//! Trainable sub-sampling on a GPU.

use super::{Subsample2d, Subsample2dSize};
use crate::cuda::launch::{Argument, Grid, THREADS};
use crate::cuda::{Cuda, View, ViewMut, assert_len};

/// Most parts that a sum over all places is computed in: as many as a block has threads.
const PARTS: usize = THREADS as usize;
/// Places that a thread adds before there is another part for others.
const TERMS: usize = 8;

impl Subsample2dSize {
    /// As the kernels take it.
    fn argument(&self) -> Argument {
        [self.channels, self.height, self.width, self.out_height(), self.out_width()].into()
    }

    #[track_caller]
    fn check(&self, device: &Cuda, (inside, in_len): (&str, usize), (outside, out_len): (&str, usize)) {
        device.assert_activation(inside, in_len, self.samples, self.in_features());
        device.assert_activation(outside, out_len, self.samples, self.out_features());
    }

    /// Channels that a block of the first stage has.
    fn tile(&self) -> usize {
        self.channels.clamp(1, THREADS as usize)
    }

    /// Windows of a channel, and how many of them a part of the first stage has.
    fn places(&self) -> (usize, usize) {
        let places = self.samples * self.out_height() * self.out_width();
        (places, places.div_ceil(PARTS).max(THREADS as usize / self.tile() * TERMS))
    }
}

impl Subsample2d for Cuda {
    fn subsample2d_forward(
        &mut self,
        size: &Subsample2dSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: View<'_, f32>,
        y: ViewMut<'_, f32>,
    ) {
        size.check(self, ("x", x.len()), ("y", y.len()));
        assert_len("weight", weight.len(), size.channels);
        assert_len("bias", bias.len(), size.channels);
        let len = size.samples * size.out_features();
        let arguments = [size.argument(), x.into(), weight.into(), bias.into(), (&y).into(), len.into()];
        self.launch("subsample2d_forward", Grid::elements(len), &arguments);
    }

    fn subsample2d_backward_input(
        &mut self,
        size: &Subsample2dSize,
        weight: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
    ) {
        size.check(self, ("d_x", d_x.len()), ("d_y", d_y.len()));
        assert_len("weight", weight.len(), size.channels);
        let len = size.samples * size.in_features();
        let arguments = [size.argument(), weight.into(), d_y.into(), (&d_x).into(), len.into()];
        self.launch("subsample2d_backward_input", Grid::elements(len), &arguments);
    }

    fn subsample2d_backward_weight(
        &mut self,
        size: &Subsample2dSize,
        x: View<'_, f32>,
        d_y: View<'_, f32>,
        d_weight: ViewMut<'_, f32>,
        d_bias: ViewMut<'_, f32>,
    ) {
        size.check(self, ("x", x.len()), ("d_y", d_y.len()));
        assert_len("d_weight", d_weight.len(), size.channels);
        assert_len("d_bias", d_bias.len(), size.channels);
        let (places, part) = size.places();
        let parts = places.div_ceil(part);
        let sums = self.scratch(2 * size.channels * parts);
        let arguments = [size.argument(), x.into(), d_y.into(), sums.into(), places.into(), part.into()];
        self.launch("subsample2d_sums", Grid::blocks([size.channels.div_ceil(size.tile()), parts, 1]), &arguments);
        let arguments = [size.channels.into(), parts.into(), sums.into(), (&d_weight).into(), (&d_bias).into()];
        self.launch("subsample2d_total", Grid::blocks([2 * size.channels, 1, 1]), &arguments);
    }
}
