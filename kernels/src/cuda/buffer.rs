//! Memory of a GPU, and views of it.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use super::gpu::Gpu;
use super::stream::Stream;
use crate::device::Element;

/// An owned run of elements in a GPU's memory. Without memory if there was none left; the GPU has failed then.
pub struct Buffer<T> {
    gpu: Arc<Gpu>,
    address: u64,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    /// `what`: they are for, as the error says if there is no memory left.
    pub(super) fn zeros(stream: &Stream, len: usize, what: &str) -> Self {
        let address = stream.allocate(len * size_of::<T>(), what);
        Self { gpu: stream.gpu().clone(), address, len, elements: PhantomData }
    }

    pub(super) fn view(&self, range: Range<usize>) -> View<'_, T> {
        View { address: self.address, len: self.len, buffer: PhantomData }.slice(range)
    }

    pub(super) fn view_mut(&mut self, range: Range<usize>) -> ViewMut<'_, T> {
        ViewMut { address: self.address, len: self.len, buffer: PhantomData }.part(range)
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.gpu.free(self.address);
    }
}

/// A shared view of elements in a GPU's memory.
pub struct View<'a, T> {
    address: u64,
    len: usize,
    buffer: PhantomData<&'a [T]>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

impl<'a, T> View<'a, T> {
    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// # Panics
    /// If the range reaches beyond it, as a slice would.
    #[track_caller]
    pub(super) fn slice(self, range: Range<usize>) -> Self {
        let address = checked(self.address, self.len, &range, size_of::<T>());
        Self { address, len: range.len(), ..self }
    }
}

/// An exclusive view of elements in a GPU's memory.
pub struct ViewMut<'a, T> {
    address: u64,
    len: usize,
    buffer: PhantomData<&'a mut [T]>,
}

impl<'a, T> ViewMut<'a, T> {
    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    #[track_caller]
    fn part(self, range: Range<usize>) -> Self {
        let address = checked(self.address, self.len, &range, size_of::<T>());
        Self { address, len: range.len(), ..self }
    }

    /// # Panics
    /// If the range reaches beyond it, as a slice would.
    #[track_caller]
    pub(super) fn slice_mut(&mut self, range: Range<usize>) -> ViewMut<'_, T> {
        ViewMut { address: self.address, len: self.len, buffer: PhantomData }.part(range)
    }

    pub(super) fn shared(self) -> View<'a, T> {
        View { address: self.address, len: self.len, buffer: PhantomData }
    }

    #[track_caller]
    pub(super) fn split(self, middle: usize) -> (Self, Self) {
        let Self { address, len, buffer } = self;
        let part = |range| ViewMut { address, len, buffer }.part(range);
        (part(0..middle), part(middle..len))
    }
}

/// The first address of a part.
#[track_caller]
fn checked(address: u64, len: usize, range: &Range<usize>, bytes: usize) -> u64 {
    let Range { start, end } = *range;
    assert!(start <= end && end <= len, "elements {start} to {end} of {len}");
    address + (start * bytes) as u64
}
