//! Concatenation on a GPU: at each place a part's channels are one run of memory.

use super::{Concatenate, ConcatenateSize};
use crate::cuda::launch::{Argument, Grid};
use crate::cuda::{Cuda, View, ViewMut};

impl ConcatenateSize {
    /// As the kernels take it.
    fn argument(&self) -> Argument {
        [self.part, self.features, self.first].map(|values| values / self.plane).into()
    }

    #[track_caller]
    fn check_lengths(&self, device: &Cuda, (part, part_len): (&str, usize), (whole, len): (&str, usize)) {
        self.check();
        let ConcatenateSize { features, first, part: values, plane, .. } = *self;
        let divides = plane > 0 && [features, first, values].iter().all(|values| values.is_multiple_of(plane));
        assert!(divides, "planes of {plane} of a part of {values} values from {first} on of {features}");
        device.assert_activation(part, part_len, self.samples, values);
        device.assert_activation(whole, len, self.samples, features);
    }
}

impl Concatenate for Cuda {
    fn concatenate_forward(&mut self, size: &ConcatenateSize, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        size.check_lengths(self, ("x", x.len()), ("y", y.len()));
        let len = size.samples * size.part;
        let arguments = [size.argument(), x.into(), (&y).into(), len.into()];
        self.launch("concatenate_forward", Grid::elements(len), &arguments);
    }

    fn concatenate_backward(&mut self, size: &ConcatenateSize, d_y: View<'_, f32>, d_x: ViewMut<'_, f32>) {
        size.check_lengths(self, ("d_x", d_x.len()), ("d_y", d_y.len()));
        let len = size.samples * size.part;
        let arguments = [size.argument(), d_y.into(), (&d_x).into(), len.into()];
        self.launch("concatenate_backward", Grid::elements(len), &arguments);
    }
}
