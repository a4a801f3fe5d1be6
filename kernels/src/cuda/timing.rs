//! Times by the GPU's own clock: marks in a stream's work, and work between two marks.

use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::CudaError;
use super::gpu::{Gpu, failed};

/// A point in what a stream was asked for.
pub struct Mark {
    gpu: Arc<Gpu>,
    event: sys::CUevent,
}

// SAFETY: the driver's handles may be used from any thread that has made the context current, as every call here does.
unsafe impl Send for Mark {}

impl Mark {
    /// One that is nowhere yet.
    pub(super) fn new(gpu: &Arc<Gpu>) -> Result<Self, CudaError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).map_err(failed("cuEventCreate"))?;
        Ok(Self { gpu: gpu.clone(), event })
    }

    pub(super) fn event(&self) -> sys::CUevent {
        self.event
    }

    /// What the GPU took from an earlier mark of the same stream to this one, to half a microsecond.
    ///
    /// # Errors
    /// If the GPU has not yet come past both: see [`super::Cuda::finish`].
    pub fn since(&self, earlier: &Mark) -> Result<Duration, CudaError> {
        self.gpu.enter()?;
        let mut milliseconds = 0.0f32;
        // SAFETY: both events live as long as their marks; the call overwrites a number.
        unsafe { elapsed()?(&mut milliseconds, earlier.event, self.event) }
            .result()
            .map_err(failed("cuEventElapsedTime"))?;
        Ok(Duration::from_secs_f32(milliseconds.max(0.0) / 1e3))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // A failure here has nobody left to whom it matters.
        let _ = self.gpu.enter();
        // SAFETY: the event is destroyed once, and used no more.
        let _ = unsafe { result::event::destroy(self.event) };
    }
}

type Elapsed = unsafe extern "C" fn(*mut f32, sys::CUevent, sys::CUevent) -> sys::CUresult;

/// The function as all drivers have it: cudarc's own is of drivers for CUDA 12.8 and newer, and panics with others.
fn elapsed() -> Result<Elapsed, CudaError> {
    let missing = |_| CudaError::of_driver("cuEventElapsedTime", DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND));
    // SAFETY: the driver was opened before there were events, stays open, and has had a function of this type since
    // CUDA 2.
    unsafe { Ok(*sys::culib().get::<Elapsed>(b"cuEventElapsedTime").map_err(missing)?) }
}

/// Something that a stream was asked for.
pub struct Timed {
    /// The kernel's name, or what else it is: `upload`, `download`, `copy`, `fill`, `cuDNN`, `cuBLASLt`.
    pub name: String,
    /// Before it.
    pub from: Mark,
    /// Behind it.
    pub to: Mark,
}
