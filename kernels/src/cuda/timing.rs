//! Times by the GPU's own clock: marks in a stream's work, and work between two marks.

use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::result::DriverError;
use cudarc::driver::sys;

use super::CudaError;
use super::event::Event;
use super::gpu::{Gpu, failed};

/// A point in what a stream was asked for.
pub struct Mark(Event);

impl Mark {
    /// One that is nowhere yet.
    pub(super) fn new(gpu: &Arc<Gpu>) -> Result<Self, CudaError> {
        Event::with_time(gpu).map(Self)
    }

    pub(super) fn event(&self) -> &Event {
        &self.0
    }

    /// What the GPU took from an earlier mark of the same stream to this one, to half a microsecond.
    ///
    /// # Errors
    /// If the GPU has not yet come past both: see [`super::Cuda::finish`].
    pub fn since(&self, earlier: &Mark) -> Result<Duration, CudaError> {
        self.0.enter()?;
        let mut milliseconds = 0.0f32;
        // SAFETY: both events live as long as their marks; the call overwrites a number.
        unsafe { elapsed()?(&mut milliseconds, earlier.0.handle(), self.0.handle()) }
            .result()
            .map_err(failed("cuEventElapsedTime"))?;
        Ok(Duration::from_secs_f32(milliseconds.max(0.0) / 1e3))
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
