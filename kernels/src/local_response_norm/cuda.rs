//! Local response normalisation on a GPU.

use super::{LocalResponseNorm, LocalResponseNormSize};
use crate::cuda::launch::{Argument, Grid};
use crate::cuda::{Cuda, View, ViewMut};

impl LocalResponseNormSize {
    /// What both kernels take first: sizes, α/s, β, k.
    fn arguments(&self) -> [Argument; 4] {
        let most = self.channels.saturating_sub(1);
        let sizes = [self.channels, (self.size / 2).min(most), ((self.size - 1) / 2).min(most)];
        let scale = f64::from(self.alpha) / self.size as f64;
        [sizes.into(), (scale as f32).into(), self.beta.into(), self.k.into()]
    }

    /// −2αβ/s.
    fn factor(&self) -> f32 {
        (-2.0 * f64::from(self.alpha) * f64::from(self.beta) / self.size as f64) as f32
    }
}

impl LocalResponseNorm for Cuda {
    fn local_response_norm_forward(&mut self, size: &LocalResponseNormSize, x: View<'_, f32>, y: ViewMut<'_, f32>) {
        size.check();
        self.assert_activation("x", x.len(), size.samples, size.features());
        self.assert_activation("y", y.len(), size.samples, size.features());
        let ([sizes, scale, beta, k], len) = (size.arguments(), size.samples * size.features());
        let arguments = [sizes, scale, beta, k, x.into(), (&y).into(), len.into()];
        self.launch("local_response_norm_forward", Grid::elements(len), &arguments);
    }

    fn local_response_norm_backward(
        &mut self,
        size: &LocalResponseNormSize,
        x: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
    ) {
        size.check();
        self.assert_activation("x", x.len(), size.samples, size.features());
        self.assert_activation("d_y", d_y.len(), size.samples, size.features());
        self.assert_activation("d_x", d_x.len(), size.samples, size.features());
        let ([sizes, scale, beta, k], len) = (size.arguments(), size.samples * size.features());
        let factor = size.factor().into();
        let arguments = [sizes, scale, beta, k, factor, x.into(), d_y.into(), (&d_x).into(), len.into()];
        self.launch("local_response_norm_backward", Grid::elements(len), &arguments);
    }
}
