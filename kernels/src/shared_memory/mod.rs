//! Anonymous memory that the workers of one node share: a barrier, atomic words, and runs of f32.
//!
//! On a step's path this is where gradients live: lanes write their sums straight into it, and the tree
//! reduction adds them up where they lie. The memory is a `memfd` sealed to its size, so there is no named
//! segment to clean up and no peer can shrink it under a reader.
//!
//! Why the views are safe to use: within a process they borrow from [`SharedMemory`], and [`SharedMemory::meet`]
//! takes it mutably, so no view outlives the phase between two barriers. Between processes, all run the same
//! build, agree on the layout and write only their own runs in a phase; the descriptor is handed to workers
//! of one generation only, after they proved to know its secret. A process that breaks this can spoil numbers
//! (which digests catch), but atomic words are atomic and sealed pages stay mapped.

mod barrier;
mod mapping;
mod sum;

use std::io;
use std::mem::size_of;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use barrier::Aborted;
use mapping::Mapping;
pub use sum::{Stores, add, add_assign, add_four, bytes, bytes_mut, copy};

/// Why shared memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SharedMemoryError {
    /// The system refused a call.
    #[error("cannot {call} {bytes} bytes of shared memory: {source}; free memory, or let a worker hold fewer lanes")]
    System {
        /// What was tried.
        call: &'static str,
        /// Size of the whole mapping.
        bytes: usize,
        /// The system's answer.
        source: io::Error,
    },
    /// A descriptor that was received is not what a worker of this generation would have made.
    #[error(
        "the shared memory received has {found} bytes (sealed: {sealed}) instead of {expected} sealed ones; \
         all workers of a node must run the same build and job"
    )]
    Foreign {
        /// Bytes behind the descriptor.
        found: u64,
        /// Bytes that this process computed.
        expected: usize,
        /// Whether the size is fixed for good.
        sealed: bool,
    },
}

/// What the memory holds; every process of the node computes the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Processes that meet at the barrier.
    pub participants: usize,
    /// 64-bit atomic words.
    pub words: usize,
    /// f32 elements.
    pub floats: usize,
}

/// This process' place at the barrier.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Index of this process, below [`Size::participants`].
    pub index: usize,
    /// Whether the node runs more threads than it has cores: waiting then gives the core away early.
    pub crowded: bool,
}

/// The shared memory of one node in one generation, as one process sees it.
pub struct SharedMemory {
    mapping: Mapping,
    size: Size,
    seat: Seat,
    epoch: u32,
}

impl SharedMemory {
    /// Makes zeroed memory, sealed to its size. Pages are taken when first written.
    pub fn create(size: Size, seat: Seat) -> Result<Self, SharedMemoryError> {
        Self::over(Mapping::create(size.bytes())?, size, seat)
    }

    /// Maps memory that another process made with the same `size`.
    pub fn open(descriptor: OwnedFd, size: Size, seat: Seat) -> Result<Self, SharedMemoryError> {
        Self::over(Mapping::open(descriptor, size.bytes())?, size, seat)
    }

    fn over(mapping: Mapping, size: Size, seat: Seat) -> Result<Self, SharedMemoryError> {
        assert!(seat.index < size.participants, "seat {} of {}", seat.index, size.participants);
        Ok(Self { mapping, size, seat, epoch: 0 })
    }

    /// The descriptor to pass to the node's other workers.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.mapping.descriptor()
    }

    /// Waits until every participant has called this as often; at once with one participant.
    ///
    /// Spins briefly, then yields the core, then sleeps; a set `abort` ends the wait within milliseconds.
    pub fn meet(&mut self, abort: &AtomicBool) -> Result<(), Aborted> {
        if self.size.participants == 1 {
            return if abort.load(Ordering::Relaxed) { Err(Aborted) } else { Ok(()) };
        }
        self.epoch = self.epoch.wrapping_add(1);
        barrier::meet(self.mapping.counters(self.size.counters()), self.seat, self.epoch, abort)
    }

    /// Atomic words. Use relaxed order: the barrier orders them.
    ///
    /// # Panics
    /// If `range` ends beyond [`Size::words`].
    pub fn words(&self, range: Range<usize>) -> &[AtomicU64] {
        &self.mapping.words(self.size.words_at(), self.size.words)[range]
    }

    /// A shared view of elements.
    ///
    /// # Panics
    /// If `range` ends beyond [`Size::floats`].
    pub fn read(&self, range: Range<usize>) -> &[f32] {
        self.check(&range);
        // SAFETY: in bounds and aligned (the floats start at a page); writers wait for the next `meet`,
        // which needs `&mut self`. Any bit pattern is an f32.
        unsafe { slice::from_raw_parts(self.first_float().add(range.start), range.len()) }
    }

    /// Exclusive views of elements that this process alone touches until the next barrier.
    ///
    /// # Panics
    /// If ranges overlap, or end beyond [`Size::floats`].
    pub fn exclusive(&mut self, ranges: &[Range<usize>]) -> Vec<&mut [f32]> {
        for (index, range) in ranges.iter().enumerate() {
            self.check(range);
            assert!(!ranges[..index].iter().any(|other| overlap(other, range)), "views overlap at {range:?}");
        }
        let first = self.first_float();
        // SAFETY: in bounds, pairwise disjoint (both checked above), and borrowed from `&mut self`.
        ranges.iter().map(|range| unsafe { slice::from_raw_parts_mut(first.add(range.start), range.len()) }).collect()
    }

    /// An exclusive view of `write` beside a reader of everything else.
    ///
    /// # Panics
    /// If `write` ends beyond [`Size::floats`].
    pub fn split(&mut self, write: Range<usize>) -> (Rest<'_>, &mut [f32]) {
        self.check(&write);
        let first = self.first_float();
        // SAFETY: in bounds, borrowed from `&mut self`, and `Rest` refuses to read any part of it.
        let written = unsafe { slice::from_raw_parts_mut(first.add(write.start), write.len()) };
        (Rest { memory: self, write }, written)
    }

    fn first_float(&self) -> *mut f32 {
        self.mapping.at(self.size.floats_at()).cast()
    }

    fn check(&self, range: &Range<usize>) {
        assert!(
            range.start <= range.end && range.end <= self.size.floats,
            "elements {range:?} of shared memory with {}",
            self.size.floats
        );
    }
}

/// Reads all of the memory but one range, which is being written. Made by [`SharedMemory::split`].
#[derive(Clone)]
pub struct Rest<'a> {
    memory: &'a SharedMemory,
    write: Range<usize>,
}

impl<'a> Rest<'a> {
    /// A shared view of elements.
    ///
    /// # Panics
    /// If `range` touches the range being written, or ends beyond [`Size::floats`].
    pub fn read(&self, range: Range<usize>) -> &'a [f32] {
        assert!(!overlap(&self.write, &range), "elements {range:?} are being written ({:?})", self.write);
        self.memory.read(range)
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Areas start at pages, so that floats are aligned for any instruction and counters share no line with them.
const PAGE: usize = 4096;

impl Size {
    fn counters(&self) -> usize {
        barrier::counters(self.participants)
    }

    fn words_at(&self) -> usize {
        (self.counters() * size_of::<u32>()).next_multiple_of(PAGE)
    }

    fn floats_at(&self) -> usize {
        (self.words_at() + self.words * size_of::<u64>()).next_multiple_of(PAGE)
    }

    fn bytes(&self) -> usize {
        (self.floats_at() + self.floats * size_of::<f32>()).next_multiple_of(PAGE)
    }
}

#[cfg(test)]
mod tests;
