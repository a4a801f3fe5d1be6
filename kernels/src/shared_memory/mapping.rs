//! A sealed `memfd` and its mapping.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

use super::SharedMemoryError;

/// Mappings at least this long ask for huge pages: below, one huge page would be mostly waste.
const HUGE_PAGE: usize = 2 << 20;

/// Neither shrinking (readers would die of SIGBUS) nor growing, for good.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Owns the descriptor and the address range; views are made by the parent module.
pub(super) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    descriptor: OwnedFd,
}

// SAFETY: the mapping is plain memory, valid from every thread until drop; views are checked by the parent.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared access hands out atomics and shared slices only.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn create(bytes: usize) -> Result<Self, SharedMemoryError> {
        let failed =
            |call| move |source: rustix::io::Errno| SharedMemoryError::System { call, bytes, source: source.into() };
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = rustix::fs::memfd_create("lockstep", flags).map_err(failed("create"))?;
        rustix::fs::ftruncate(&descriptor, bytes as u64).map_err(failed("size"))?;
        rustix::fs::fcntl_add_seals(&descriptor, SEALS).map_err(failed("seal"))?;
        Self::map(descriptor, bytes)
    }

    pub(super) fn open(descriptor: OwnedFd, bytes: usize) -> Result<Self, SharedMemoryError> {
        let failed =
            |call| move |source: rustix::io::Errno| SharedMemoryError::System { call, bytes, source: source.into() };
        // Not a memfd: no seals.
        let sealed = rustix::fs::fcntl_get_seals(&descriptor).is_ok_and(|seals| seals.contains(SEALS));
        let found = rustix::fs::fstat(&descriptor).map_err(failed("inspect"))?.st_size as u64;
        if !sealed || found != bytes as u64 {
            return Err(SharedMemoryError::Foreign { found, expected: bytes, sealed });
        }
        Self::map(descriptor, bytes)
    }

    fn map(descriptor: OwnedFd, bytes: usize) -> Result<Self, SharedMemoryError> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice disturbs no other memory.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), bytes, access, flags, &descriptor, 0) }
            .map_err(|source| SharedMemoryError::System { call: "map", bytes, source: source.into() })?;
        if bytes >= HUGE_PAGE {
            // SAFETY: the range is the mapping just made; advice changes no contents. A kernel without huge
            // pages refuses, which costs speed only.
            let _ = unsafe { rustix::mm::madvise(base, bytes, Advice::LinuxHugepage) };
        }
        let base = NonNull::new(base.cast()).expect("the kernel maps nothing at address zero");
        Ok(Self { base, bytes, descriptor })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Address of byte `offset`.
    pub(super) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.bytes);
        // SAFETY: within the mapping or one past its end.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// The barrier's counters, which start at byte 0.
    pub(super) fn counters(&self, len: usize) -> &[AtomicU32] {
        assert!(len * 4 <= self.bytes);
        // SAFETY: in bounds, page-aligned, zero-initialised, and only ever touched as atomics.
        unsafe { slice::from_raw_parts(self.base.as_ptr().cast(), len) }
    }

    /// The atomic words, which start at byte `offset`, a page boundary.
    pub(super) fn words(&self, offset: usize, len: usize) -> &[AtomicU64] {
        assert!(offset.is_multiple_of(8) && offset + len * 8 <= self.bytes);
        // SAFETY: in bounds, aligned, zero-initialised, and only ever touched as atomics.
        unsafe { slice::from_raw_parts(self.at(offset).cast(), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `map`; views borrow from its owner, so none is left.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok());
    }
}
