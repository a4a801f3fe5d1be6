//! Second derivatives on a GPU.

use super::{Criterion, Curvature};
use crate::cross_entropy::ClassesSize;
use crate::cuda::launch::Grid;
use crate::cuda::{Cuda, View, ViewMut, assert_len};
use crate::device::Memory;

impl Curvature for Cuda {
    fn square(&mut self, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        assert_len("x", x.len(), y.len());
        self.launch("curvature_square", Grid::elements(x.len()), &[x.into(), (&y).into(), x.len().into()]);
    }

    fn scale(&mut self, factor: f32, x: ViewMut<'_, f32>) {
        self.launch("curvature_scale", Grid::elements(x.len()), &[factor.into(), (&x).into(), x.len().into()]);
    }

    fn output_curvature(&mut self, size: &ClassesSize, criterion: Criterion, d: ViewMut<'_, f32>) {
        assert_len("d", d.len(), size.samples * size.classes);
        match criterion {
            Criterion::Quadratic { curvature } => self.fill(curvature, d),
            Criterion::Logistic { scale } => {
                let arguments = [(1.0 / scale).into(), (&d).into(), d.len().into()];
                self.launch("curvature_logistic", Grid::elements(d.len()), &arguments);
            }
        }
    }
}
