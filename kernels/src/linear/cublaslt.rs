//! Large linear layers on a GPU by cuBLASLt, where the device uses it.

use super::LinearSize;
use crate::cuda::cublaslt::{Addresses, Product, Stored};
use crate::cuda::launch::Grid;
use crate::cuda::scratch::Part;
use crate::cuda::{Arithmetic, Cuda, View, ViewMut, is_large};

impl LinearSize {
    /// Whether it is worth a library's call: a function of the sizes, `samples` among them.
    fn is_large(&self) -> bool {
        is_large(self.samples.saturating_mul(self.inputs).saturating_mul(self.outputs))
    }

    /// Whether features of an activation lie in another order than the weight has them.
    fn is_turned(&self) -> bool {
        self.plane > 1 && self.plane < self.inputs
    }
}

/// A product of matrices that lie as told, without bias.
fn product([rows, columns, terms]: [usize; 3], left: Stored, right: Stored) -> Product {
    Product { rows, columns, terms, left, right, bias: false, arithmetic: Arithmetic::F32 }
}

impl Cuda {
    pub(super) fn multiplies(&self, size: &LinearSize) -> bool {
        self.has_blas() && size.is_large()
    }

    pub(super) fn blas_forward(
        &mut self,
        size: &LinearSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: View<'_, f32>,
        y: ViewMut<'_, f32>,
    ) {
        let left = self.by_channel(size, x);
        let sizes = [size.samples, size.outputs, size.inputs];
        let product = Product { bias: true, ..product(sizes, Stored::Rows, Stored::Columns) };
        let at = Addresses { left, right: weight.address(), bias: bias.address(), out: y.address() };
        self.multiply(&product, at);
    }

    pub(super) fn blas_backward_input(
        &mut self,
        size: &LinearSize,
        weight: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
    ) {
        let turned = size.is_turned().then(|| self.scratch(d_x.len()));
        let product = product([size.samples, size.inputs, size.outputs], Stored::Rows, Stored::Rows);
        let out = turned.map_or(d_x.address(), |part| part.address());
        self.multiply(&product, Addresses { left: d_y.address(), right: weight.address(), bias: 0, out });
        if let Some(part) = turned {
            let arguments = [size.argument(), part.into(), (&d_x).into()];
            self.launch("linear_turn_back", Grid::elements(d_x.len()), &arguments);
        }
    }

    pub(super) fn blas_backward_weight(
        &mut self,
        size: &LinearSize,
        x: View<'_, f32>,
        d_y: View<'_, f32>,
        d_weight: ViewMut<'_, f32>,
    ) {
        let right = self.by_channel(size, x);
        let product = product([size.outputs, size.inputs, size.samples], Stored::Columns, Stored::Rows);
        self.multiply(&product, Addresses { left: d_y.address(), right, bias: 0, out: d_weight.address() });
    }

    /// Where features lie channel by channel, as the weight has them.
    fn by_channel(&mut self, size: &LinearSize, x: View<'_, f32>) -> u64 {
        if !size.is_turned() {
            return x.address();
        }
        let turned: Part = self.scratch(x.len());
        self.launch("linear_turn", Grid::elements(x.len()), &[size.argument(), x.into(), turned.into()]);
        turned.address()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_is_what_has_many_multiplications() {
        let size = |samples, inputs, outputs| LinearSize { samples, inputs, plane: 1, outputs };
        assert!(size(64, 2048, 2048).is_large());
        assert!(!size(63, 2048, 2048).is_large());
        assert!(!size(64, 784, 800).is_large(), "an MLP on MNIST");
        assert!(!size(0, 4096, 4096).is_large());
    }
}
