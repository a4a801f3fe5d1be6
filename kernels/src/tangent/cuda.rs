//! Tangents on a GPU.

use super::{AtOutputs, Bend, OutputTangent, Tangent};
use crate::activation::{Activation, ActivationSize};
use crate::cross_entropy::ClassesSize;
use crate::cuda::launch::{Argument, Grid, WARP};
use crate::cuda::{Cuda, View, ViewMut, assert_len};
use crate::pool2d::Pool2dSize;

impl OutputTangent {
    /// As the kernel takes it: its number in the list, and a factor.
    fn arguments(self) -> [Argument; 2] {
        let (number, factor) = match self {
            Self::Softmax => (0, 1.0),
            Self::Sigmoid { scale } => (1, scale),
            Self::Quadratic { curvature } => (2, curvature),
            Self::Shares => (3, 1.0),
        };
        [u32::into(number), factor.into()]
    }
}

impl Tangent for Cuda {
    fn bend(&mut self, size: &ActivationSize, function: Activation, at: Bend<'_, Cuda>, r_d: ViewMut<'_, f32>) {
        let Some((start, slope)) = function.bend() else { return };
        for (name, values) in [("y", at.y), ("r_y", at.r_y), ("d_y", at.d_y)] {
            self.assert_activation(name, values.len(), size.samples, size.features);
        }
        self.assert_activation("r_d", r_d.len(), size.samples, size.features);
        let len = size.samples * size.features;
        let arguments =
            [start.into(), slope.into(), at.y.into(), at.r_y.into(), at.d_y.into(), (&r_d).into(), len.into()];
        self.launch("tangent_bend", Grid::elements(len), &arguments);
    }

    fn chosen(&mut self, size: &Pool2dSize, x: View<'_, f32>, choice: View<'_, u8>, y: ViewMut<'_, f32>) {
        let Pool2dSize { samples, channels, height, width, window, stride, padding } = *size;
        let (out_height, out_width) = (size.out_height(), size.out_width());
        let features = channels * out_height * out_width;
        self.assert_activation("x", x.len(), samples, channels * height * width);
        self.assert_activation("y", y.len(), samples, features);
        let len = samples * features;
        assert_len("choice", choice.len(), len);
        let size = [channels, height, width, window, stride, padding, out_height, out_width].into();
        let arguments = [size, x.into(), choice.into(), (&y).into(), len.into()];
        self.launch("tangent_chosen", Grid::elements(len), &arguments);
    }

    fn output_tangent(
        &mut self,
        size: &ClassesSize,
        loss: OutputTangent,
        at: AtOutputs<'_, Cuda>,
        r: ViewMut<'_, f32>,
    ) {
        let ClassesSize { samples, classes } = *size;
        self.assert_activation("x", at.x.len(), samples, classes);
        self.assert_activation("d_x", at.d_x.len(), samples, classes);
        self.assert_activation("r", r.len(), samples, classes);
        let [number, factor] = loss.arguments();
        let arguments = [[samples, classes].into(), number, factor, at.x.into(), at.d_x.into(), (&r).into()];
        self.launch("tangent_of_outputs", Grid::elements(samples * WARP), &arguments);
    }
}
