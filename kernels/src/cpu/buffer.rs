//! Memory aligned to cache lines.

use crate::device::Element;

/// Bytes of a cache line.
const ALIGNMENT: usize = 64;

/// An owned run of elements that starts at a cache line.
pub struct Buffer<T> {
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Element> Buffer<T> {
    pub(crate) fn zeros(len: usize) -> Self {
        let spare = ALIGNMENT / size_of::<T>().max(1);
        let memory = vec![T::default(); len + spare];
        // `align_offset` may give up by contract (it returns a huge number): then the memory is merely not aligned.
        let start = match memory.as_ptr().align_offset(ALIGNMENT) {
            start if start <= spare => start,
            _ => 0,
        };
        Buffer { memory, start, len }
    }

    /// All elements.
    pub fn as_slice(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }

    /// All elements.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
