//! A mark in a stream's work: how far it was asked for, for others to wait for.

use std::sync::Arc;

use cudarc::driver::result;
use cudarc::driver::sys;

use super::CudaError;
use super::gpu::{Gpu, failed};

/// What was recorded last. Before anything was, there is nothing to wait for.
pub(crate) struct Event {
    gpu: Arc<Gpu>,
    handle: sys::CUevent,
}

// SAFETY: the driver's handles may be used from any thread that has made the context current, as every call here does.
unsafe impl Send for Event {}
// SAFETY: the driver's calls are safe to make from several threads at once.
unsafe impl Sync for Event {}

impl Event {
    pub fn new(gpu: &Arc<Gpu>) -> Result<Self, CudaError> {
        Self::of_kind(gpu, sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)
    }

    /// One that also takes the time.
    pub fn with_time(gpu: &Arc<Gpu>) -> Result<Self, CudaError> {
        Self::of_kind(gpu, sys::CUevent_flags::CU_EVENT_DEFAULT)
    }

    fn of_kind(gpu: &Arc<Gpu>, kind: sys::CUevent_flags) -> Result<Self, CudaError> {
        gpu.enter()?;
        let handle = result::event::create(kind).map_err(failed("cuEventCreate"))?;
        Ok(Self { gpu: gpu.clone(), handle })
    }

    /// Makes the GPU's context this thread's.
    pub fn enter(&self) -> Result<(), CudaError> {
        self.gpu.enter()
    }

    /// For streams to record and wait for.
    pub fn handle(&self) -> sys::CUevent {
        self.handle
    }

    /// The host waits. The context is current.
    pub fn wait(&self) -> Result<(), CudaError> {
        // SAFETY: the event lives as long as `self`.
        unsafe { result::event::synchronize(self.handle) }.map_err(failed("cuEventSynchronize"))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // A failure here has nobody left to whom it matters.
        let _ = self.gpu.enter();
        // SAFETY: the event is destroyed once, and used no more.
        let _ = unsafe { result::event::destroy(self.handle) };
    }
}
