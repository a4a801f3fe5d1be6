//! Memory aligned to cache lines.

use rustix::mm::{Advice, madvise};

use crate::device::Element;

/// Bytes of a cache line.
const ALIGNMENT: usize = 64;
/// Bytes of a page, and of a huge one.
const PAGE: usize = 4 << 10;
const HUGE_PAGE: usize = 2 << 20;

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
        ask_for_huge_pages(&memory);
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

/// Kernels go through many rows that lie far apart: with small pages each row's address would have to be looked up anew.
/// Asked for before the first touch; memory that has none works all the same.
fn ask_for_huge_pages<T>(memory: &[T]) {
    let bytes = memory.as_ptr_range();
    let (start, end) = (bytes.start.addr().next_multiple_of(PAGE), bytes.end.addr() / PAGE * PAGE);
    if end.saturating_sub(start) < 2 * HUGE_PAGE {
        return;
    }
    let pages = bytes.start.with_addr(start).cast_mut().cast();
    // SAFETY: whole pages of an allocation that this process owns; the advice leaves their contents as they are.
    let _ = unsafe { madvise(pages, end - start, Advice::LinuxHugepage) };
}
