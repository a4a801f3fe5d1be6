//! cuBLASLt, for large matrix products.
//!
//! The library's heuristics name algorithms for a [`Product`], best first, and the first that keeps the rules is taken:
//! parts of long sums are added in one order, by a second step, and factors are in no other numbers than asked for.
//! Nothing is timed. A choice has a text, of which any worker with the same library makes the same plan.
//!
//! **It has never run with the library itself**, which gives no handle where there is no GPU; tests run it over an
//! emulated one.

mod plan;
mod product;
mod text;

use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::Arc;

use cudarc::cublaslt::sys;

use super::stream::Stream;
use super::{CudaError, Version, libraries};

pub(super) use plan::{Plan, choose};
pub(crate) use product::Addresses;
pub use product::{Product, Stored};
use text::{NoPlanText, PlanText};

/// The oldest major version: that of the oldest driver which will do.
pub(super) const LEAST_MAJOR: usize = 12;
/// The newest whose interface is known.
pub(super) const NEWEST_MAJOR: usize = 13;

/// Version of the library that was found.
///
/// # Errors
/// If there is none, or it is too old or too new.
pub fn version() -> Result<Version, CudaError> {
    libraries::blas()?;
    // SAFETY: the call takes nothing.
    let version = Version::from_number(unsafe { sys::cublasLtGetVersion() });
    if !(LEAST_MAJOR..=NEWEST_MAJOR).contains(&version.major) {
        let why = format!("versions {LEAST_MAJOR} to {NEWEST_MAJOR} will do");
        return Err(CudaError::WrongLibrary { library: "cuBLASLt", version: version.to_string(), why });
    }
    Ok(version)
}

/// cuBLASLt on a GPU's stream.
pub(super) struct Handle {
    raw: sys::cublasLtHandle_t,
    stream: Arc<Stream>,
}

// SAFETY: a handle may be used from any thread.
unsafe impl Send for Handle {}

impl Handle {
    /// # Errors
    /// As [`version`], and if the library can't use the GPU.
    pub fn new(stream: &Arc<Stream>) -> Result<Self, CudaError> {
        version()?;
        stream.gpu().enter()?;
        let mut raw = null_mut();
        // SAFETY: the call overwrites a pointer; the GPU's context is this thread's.
        check("cublasLtCreate", unsafe { sys::cublasLtCreate(&mut raw) })?;
        Ok(Self { raw, stream: stream.clone() })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.stream.gpu().enter();
        // SAFETY: the handle is destroyed once, and used no more.
        let _ = unsafe { sys::cublasLtDestroy(self.raw) };
    }
}

/// What a call came to.
fn check(call: &'static str, status: sys::cublasStatus_t) -> Result<(), CudaError> {
    if status == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS {
        return Ok(());
    }
    // SAFETY: both calls give constants.
    let [name, text] = unsafe { [sys::cublasLtGetStatusName(status), sys::cublasLtGetStatusString(status)] }
        // SAFETY: constants end with a byte 0.
        .map(|words| unsafe { CStr::from_ptr(words) }.to_string_lossy());
    Err(CudaError::library("cuBLASLt", call, format!("{name}: {text}")))
}
