//! Values that the host gathers and ops read.

use lockstep_kernels::device::{Device, Element};

/// A run of values, and room for what the device sees of them.
pub(super) struct Upload<D: Device, T: Element> {
    /// As the host has them; see [`Upload::send`].
    pub values: Vec<T>,
    room: D::Room<T>,
}

impl<D: Device, T: Element> Upload<D, T> {
    /// Of at most so many values.
    pub fn new(device: &mut D, most: usize) -> Self {
        Self { values: Vec::with_capacity(most), room: device.room(most) }
    }

    /// Lets the device see the values as they are now.
    pub fn send(&mut self, device: &mut D) {
        device.send(&self.values, &mut self.room);
    }

    /// All values, as the device has seen them last.
    pub fn view(&self) -> D::View<'_, T> {
        D::sent(&self.room, &self.values)
    }

    /// Sends other values.
    pub fn replace(&mut self, device: &mut D, values: &[T]) {
        self.values.clear();
        self.values.extend_from_slice(values);
        self.send(device);
    }
}
