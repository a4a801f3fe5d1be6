//! cuDNN 9 through its backend (graph) API, for large convolutions.
//!
//! A [`Convolution`] becomes a graph of operations; cuDNN's heuristics name engines for it, best first, and the first
//! that keeps the rules is taken ([`choose`]): it adds in one order, computes in no other numbers than asked for,
//! finalises, and needs a bounded workspace. Nothing is timed, so that two GPUs of a kind choose the same. A choice has
//! a text, of which any worker with the same cuDNN makes the same plan ([`Plan::from_text`]): one worker can choose for
//! a job and tell the others.
//!
//! Plans finalise without a GPU too, for a described one ([`DeviceProperties`]): that is how tests look at all shapes of
//! the named networks. **Executing a plan has never run with cuDNN itself**: no GPU was at hand; tests execute plans of
//! an emulated one.

mod convolution;
mod descriptor;
mod plan;
mod target;
mod text;

use std::ffi::{CStr, c_char};

use cudarc::cudnn::sys;

use super::{CudaError, Version, cublaslt, libraries};

pub use convolution::{Behind, Convolution, Operand, Pass};
pub use plan::{Plan, WORKSPACE, choose};
pub(super) use target::Handle;
pub use target::{DeviceProperties, Target};
pub use text::PlanText;

/// The major version that this is written for.
pub(super) const MAJOR: usize = 9;

/// Version of the library that was found.
///
/// # Errors
/// If there is none, it is of another major version, or it lacks the cuBLASLt that it was built with: it would end the
/// process.
pub fn version() -> Result<Version, CudaError> {
    libraries::dnn()?;
    // SAFETY: the call takes nothing.
    let version = Version::with_old_numbers(unsafe { sys::cudnnGetVersion() });
    if version.major != MAJOR {
        return Err(wrong(version, format!("this is written for cuDNN {MAJOR}")));
    }
    let blas = cublaslt::version()?;
    // SAFETY: the same.
    let cuda = unsafe { sys::cudnnGetCudartVersion() } / 1000;
    if cuda != blas.major {
        return Err(wrong(version, format!("it is for CUDA {cuda}, and the cuBLASLt that was found is {blas}")));
    }
    Ok(version)
}

fn wrong(version: Version, why: String) -> CudaError {
    CudaError::WrongLibrary { library: "cuDNN", version: version.to_string(), why }
}

/// What a call came to.
fn check(call: &'static str, status: sys::cudnnStatus_t) -> Result<(), CudaError> {
    if status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS {
        return Ok(());
    }
    // SAFETY: the call gives a constant.
    let name = unsafe { CStr::from_ptr(sys::cudnnGetErrorString(status)) }.to_string_lossy();
    let mut message = [0u8; 512];
    // SAFETY: the call writes at most so many bytes, the last of them 0.
    unsafe { sys::cudnnGetLastErrorString(message.as_mut_ptr().cast::<c_char>(), message.len()) };
    let message = CStr::from_bytes_until_nul(&message).unwrap_or_default().to_string_lossy();
    Err(CudaError::library("cuDNN", call, format!("{name}: {message}")))
}
