//! Large linear layers on a GPU by cuBLASLt, where the device uses it.

use super::LinearSize;
use crate::cuda::cublaslt::{Addresses, Product, Stored};
use crate::cuda::launch::Grid;
use crate::cuda::scratch::Part;
use crate::cuda::{Cuda, View, ViewMut, is_large};
use crate::device::Memory;

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

impl Cuda {
    pub(super) fn multiplies(&self, size: &LinearSize) -> bool {
        self.has_blas() && size.is_large()
    }

    /// A product of matrices that lie as told, without bias.
    fn product(&self, [rows, columns, terms]: [usize; 3], left: Stored, right: Stored) -> Product {
        Product { rows, columns, terms, left, right, bias: false, arithmetic: self.arithmetic() }
    }

    pub(super) fn blas_forward(
        &mut self,
        size: &LinearSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: View<'_, f32>,
        y: ViewMut<'_, f32>,
    ) {
        let (turned, [right, bias]) = self.as_factors(self.turned_words(size), [weight, bias]);
        let left = self.by_channel(size, x, turned);
        let product = self.product([size.samples, size.outputs, size.inputs], Stored::Rows, Stored::Columns);
        self.multiply(&Product { bias: true, ..product }, Addresses { left, right, bias, out: y.address() });
    }

    pub(super) fn blas_backward_input(
        &mut self,
        size: &LinearSize,
        weight: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
    ) {
        let (turned, [right]) = self.as_factors(self.turned_words(size), [weight]);
        let product = self.product([size.samples, size.inputs, size.outputs], Stored::Rows, Stored::Rows);
        let out = if size.is_turned() { turned.address() } else { d_x.address() };
        self.multiply(&product, Addresses { left: d_y.address(), right, bias: 0, out });
        if size.is_turned() {
            let arguments = [size.argument(), turned.into(), (&d_x).into()];
            self.launch("linear_turn_back", Grid::elements(size.samples * size.inputs), &arguments);
        }
    }

    pub(super) fn blas_backward_weight(
        &mut self,
        size: &LinearSize,
        x: View<'_, f32>,
        d_y: View<'_, f32>,
        d_weight: ViewMut<'_, f32>,
    ) {
        let product = self.product([size.outputs, size.inputs, size.samples], Stored::Columns, Stored::Rows);
        self.gradient_of_factor(self.turned_words(size), d_weight, |device, turned, out| {
            let right = device.by_channel(size, x, turned);
            device.multiply(&product, Addresses { left: d_y.address(), right, bias: 0, out });
        });
    }

    /// Words of an activation whose features are to be in the weight's order.
    fn turned_words(&self, size: &LinearSize) -> usize {
        if size.is_turned() { self.activation_len(size.samples, size.inputs) } else { 0 }
    }

    /// Where features lie channel by channel, as the weight has them: where they are, or in `turned`.
    fn by_channel(&mut self, size: &LinearSize, x: View<'_, f32>, turned: Part) -> u64 {
        if !size.is_turned() {
            return x.address();
        }
        let arguments = [size.argument(), x.into(), turned.into()];
        self.launch("linear_turn", Grid::elements(size.samples * size.inputs), &arguments);
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
