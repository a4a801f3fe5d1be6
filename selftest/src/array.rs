//! Operands in a device's memory.

use lockstep_kernels::device::{ActivationShape, Element, Memory};

/// What outputs hold before an op: no op may leave it in place.
const UNWRITTEN: f32 = 12345.0;

/// Elements in a device's memory, all of them at once.
pub struct Array<D: Memory, T: Element = f32> {
    buffer: D::Buffer<T>,
    len: usize,
}

impl<D: Memory> Array<D> {
    /// A tensor to be overwritten.
    pub fn unwritten(device: &mut D, len: usize) -> Self {
        Self::tensor(device, &vec![UNWRITTEN; len])
    }

    /// An activation of these rows, (N, C, H · W).
    pub fn activation(device: &mut D, shape: &ActivationShape, rows: &[f32]) -> Self {
        let len = device.activation_len(shape.samples, shape.features());
        let mut array = Self { buffer: device.zeros(len), len };
        device.write_activation(shape, rows, array.view_mut());
        array
    }

    /// An activation to be overwritten.
    pub fn unwritten_activation(device: &mut D, shape: &ActivationShape) -> Self {
        let len = device.activation_len(shape.samples, shape.features());
        Self::unwritten(device, len)
    }

    /// An activation's rows, (N, C, H · W).
    pub fn rows(&self, device: &mut D, shape: &ActivationShape) -> Vec<f32> {
        let mut rows = vec![0.0; shape.values()];
        device.read_activation(shape, self.view(), &mut rows);
        rows
    }
}

impl<D: Memory, T: Element> Array<D, T> {
    /// A tensor of these values.
    pub fn tensor(device: &mut D, values: &[T]) -> Self {
        let mut array = Self { buffer: device.zeros(values.len()), len: values.len() };
        device.write(values, array.view_mut());
        array
    }

    /// A tensor's values.
    pub fn read(&self, device: &mut D) -> Vec<T> {
        let mut values = vec![T::default(); self.len];
        device.read(self.view(), &mut values);
        values
    }

    /// So many zeros.
    pub fn zeros(device: &D, len: usize) -> Self {
        Self { buffer: device.zeros(len), len }
    }

    /// All of it.
    pub fn view(&self) -> D::View<'_, T> {
        D::view(&self.buffer, 0..self.len)
    }

    /// All of it.
    pub fn view_mut(&mut self) -> D::ViewMut<'_, T> {
        D::view_mut(&mut self.buffer, 0..self.len)
    }
}
