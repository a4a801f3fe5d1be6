//! Memory of the host that a GPU copies from by itself, while the host goes on.

use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::result;

use super::CudaError;
use super::event::Event;
use super::gpu::{Gpu, failed};
use super::stream::Stream;
use crate::device::Element;

/// Room for values that are copied from here.
pub(crate) struct PageLocked<T> {
    gpu: Arc<Gpu>,
    /// Of `most` elements, which only the driver reads.
    address: NonNull<T>,
    most: usize,
    /// The newest copy is done.
    copied: Event,
}

// SAFETY: it owns its memory, whose elements can be sent.
unsafe impl<T: Send> Send for PageLocked<T> {}
// SAFETY: who has a shared reference can only ask for copies.
unsafe impl<T: Sync> Sync for PageLocked<T> {}

impl<T: Element> PageLocked<T> {
    /// Room for so many values, at least one; none if the GPU has failed.
    pub fn new(stream: &Stream, most: usize) -> Option<Self> {
        let gpu = stream.gpu();
        gpu.attempt(|| {
            let copied = Event::new(gpu)?;
            gpu.count_allocation();
            // SAFETY: it is written before it is read.
            let address = unsafe { result::malloc_host(most.max(1) * size_of::<T>(), 0) };
            let address = NonNull::new(address.map_err(failed("cuMemHostAlloc"))?.cast());
            let nowhere = || CudaError::Call { call: "cuMemHostAlloc", text: "it gave no address".to_owned() };
            let address = address.ok_or_else(nowhere)?;
            Ok(Self { gpu: gpu.clone(), address, most, copied })
        })
    }

    /// Copies `values` to `to` when `stream` gets there; they may be changed at once. The host waits for the copy of
    /// before, which is a matter of pace and not counted as waiting: nobody needs a result.
    ///
    /// # Panics
    /// If they are more than there is room for.
    #[track_caller]
    pub fn send(&mut self, values: &[T], stream: &Stream, to: u64) {
        assert!(values.len() <= self.most, "{} values where there is room for {}", values.len(), self.most);
        self.gpu.attempt(|| {
            self.copied.wait()?;
            // SAFETY: there is room for so many, which no copy reads any more.
            let from = unsafe {
                self.address.copy_from_nonoverlapping(NonNull::from(values).cast(), values.len());
                std::slice::from_raw_parts(self.address.as_ptr(), values.len())
            };
            stream.copy_in(from, to)?;
            stream.record(&self.copied)
        });
    }

    /// Recorded behind the newest copy.
    pub fn copied(&self) -> &Event {
        &self.copied
    }
}

impl<T> Drop for PageLocked<T> {
    fn drop(&mut self) {
        // A failure here has nobody left to whom it matters.
        let _ = self.gpu.enter().and_then(|()| self.copied.wait());
        // SAFETY: the memory is given back once, and no copy reads it any more.
        let _ = unsafe { result::free_host(self.address.as_ptr().cast()) };
    }
}
