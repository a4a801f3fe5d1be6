//! Values that the host gathers, on their way to a device's memory.

mod cpu;
mod cuda;

use crate::device::{Element, Memory};

/// Contract of sending values on.
pub trait Upload: Memory {
    /// Room in the device's memory for the values.
    type Room<T: Element>: Send;

    /// Room for at most so many values.
    fn room<T: Element>(&mut self, most: usize) -> Self::Room<T>;

    /// Bytes of the device's own memory that room for so many values takes.
    fn room_bytes<T: Element>(most: usize) -> usize;

    /// Lets ops that are asked for from here on see `values`, and none that was asked for before. They are copied
    /// beside what the device computes.
    ///
    /// # Panics
    /// If there is no room for so many.
    fn send<T: Element>(&mut self, values: &[T], room: &mut Self::Room<T>);

    /// What was sent last, at the same place each time. `values`: the same, unchanged since.
    fn sent<'a, T: Element>(room: &'a Self::Room<T>, values: &'a [T]) -> Self::View<'a, T>;
}
