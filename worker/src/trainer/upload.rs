//! Values that the host gathers and ops read: where the host has them, on a device that computes there, else in a copy.

use lockstep_kernels::device::{Device, Element};

/// A run of values, and memory for the device's copy of them.
pub(super) struct Upload<D: Device, T: Element> {
    /// As the host has them; see [`Upload::send`].
    pub values: Vec<T>,
    /// Empty on a device that reads the host's memory.
    copy: D::Buffer<T>,
}

impl<D: Device, T: Element> Upload<D, T> {
    /// Of at most so many values.
    pub fn new(device: &D, most: usize) -> Self {
        let copied = if D::host_view::<T>(&[]).is_some() { 0 } else { most };
        Self { values: Vec::with_capacity(most), copy: device.zeros(copied) }
    }

    /// Lets the device see the values as they are now.
    pub fn send(&mut self, device: &mut D) {
        if D::host_view(&self.values).is_none() {
            device.write(&self.values, D::view_mut(&mut self.copy, 0..self.values.len()));
        }
    }

    /// All values, as the device has seen them last.
    pub fn view(&self) -> D::View<'_, T> {
        D::host_view(&self.values).unwrap_or_else(|| D::view(&self.copy, 0..self.values.len()))
    }

    /// Sends other values.
    pub fn replace(&mut self, device: &mut D, values: &[T]) {
        self.values.clear();
        self.values.extend_from_slice(values);
        self.send(device);
    }
}
