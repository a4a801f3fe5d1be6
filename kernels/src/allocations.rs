//! An allocator that counts, for tests that hold a step to allocating nothing.
//!
//! It stands here, and not with those tests, because an allocator is unsafe code.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted: `#[global_allocator] static ALLOCATOR: Counted = Counted;`.
pub struct Counted;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

impl Counted {
    /// Allocations of the calling thread so far, those that grow a block among them; 0 where it is not the allocator.
    pub fn count() -> usize {
        COUNT.get()
    }
}

// SAFETY: every call goes to the system's allocator unchanged. The count needs no memory and no destructor.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise about the layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise about the layout.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promise: the pointer came from here with this layout, and the size is not 0.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: the pointer came from here with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}
