//! What can go wrong with a GPU, each with what to do about it.

use cudarc::driver::result::DriverError;

/// Why a GPU can't be used, or no longer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CudaError {
    /// There is no `libcuda`.
    #[error(
        "there is no NVIDIA driver: libcuda.so.1 was not found; install the driver, or compute with device \"cpu\""
    )]
    NoDriver,
    /// The driver is older than what the calls need.
    #[error("the NVIDIA driver is for CUDA {}.{}, the oldest that will do is 12.4; install a newer driver", found / 1000, found % 1000 / 10)]
    OldDriver {
        /// As the driver tells it: 1000 · major + 10 · minor.
        found: i32,
    },
    /// There are fewer GPUs.
    #[error("there is no GPU {index}: the driver shows {count}; see CUDA_VISIBLE_DEVICES")]
    NoDevice {
        /// Wanted.
        index: usize,
        /// There are.
        count: usize,
    },
    /// The GPU is older than what kernels are written for.
    #[error("the GPU has compute capability {major}.{minor}, the oldest that will do is 8.0 (Ampere)")]
    OldDevice {
        /// Of its compute capability.
        major: i32,
        /// The same.
        minor: i32,
    },
    /// There is no `libnvrtc`.
    #[error(
        "kernels can't be compiled: libnvrtc.so (NVRTC, of the CUDA toolkit 12.4 or newer) was not found; install it, \
         or name its folder in LOCKSTEP_CUDA_LIBRARIES"
    )]
    NoCompiler,
    /// The compiler is of a version that was never tried.
    #[error(
        "kernels can't be compiled: libnvrtc.so is of CUDA {major}.{minor}, the oldest that will do is 12.4; install a \
         newer one, or name its folder in LOCKSTEP_CUDA_LIBRARIES"
    )]
    OtherCompiler {
        /// Of the compiler's version.
        major: i32,
        /// The same.
        minor: i32,
    },
    /// The compiler does not know the GPU.
    #[error("NVRTC {major}.{minor} can't compile for {architecture}; install a newer one")]
    OldCompiler {
        /// Of the compiler's version.
        major: i32,
        /// The same.
        minor: i32,
        /// Of the GPU.
        architecture: String,
    },
    /// A kernel does not compile.
    #[error("{file} does not compile for {architecture}:\n{log}")]
    Compilation {
        /// Source.
        file: &'static str,
        /// Of the GPU.
        architecture: String,
        /// What the compiler says.
        log: String,
    },
    /// The GPU has too little memory left.
    #[error(
        "out of GPU memory: {wanted} bytes more are wanted for {what}, {free} of {total} are free; a smaller \
         batch.micro_batch needs less"
    )]
    OutOfMemory {
        /// What it was for.
        what: String,
        /// Bytes.
        wanted: usize,
        /// Bytes.
        free: usize,
        /// Bytes.
        total: usize,
    },
    /// There is no cuDNN or cuBLASLt.
    #[error("{library} was not found: {file}; install it, or name its folder in LOCKSTEP_CUDA_LIBRARIES")]
    NoLibrary {
        /// Its name.
        library: &'static str,
        /// That of its file.
        file: &'static str,
    },
    /// It is of a version that can't be used.
    #[error("{library} {version} can't be used: {why}; install another, or set cluster.libraries to \"own\"")]
    WrongLibrary {
        /// Its name.
        library: &'static str,
        /// What was found.
        version: String,
        /// What is wrong with it.
        why: String,
    },
    /// One of its calls has failed.
    #[error("{library} failed in {call}: {text}")]
    Library {
        /// Its name.
        library: &'static str,
        /// What was called.
        call: &'static str,
        /// The library's words.
        text: String,
    },
    /// cuDNN can't compute a convolution as it has to be.
    #[error(
        "cuDNN has no engine that computes {convolution} in a fixed order and the numbers asked for ({why}); set \
         cluster.libraries to \"own\""
    )]
    NoEngine {
        /// Which.
        convolution: String,
        /// What spoke against the last.
        why: String,
    },
    /// cuBLASLt can't compute a product as it has to be.
    #[error(
        "cuBLASLt has no algorithm that computes {product} in a fixed order and the numbers asked for ({why}); set \
         cluster.libraries to \"own\""
    )]
    NoAlgorithm {
        /// Which.
        product: String,
        /// What spoke against the last.
        why: String,
    },
    /// A text tells of no plan that can be used.
    #[error("{text:?} is no plan for this: {why}")]
    BadPlan {
        /// What was told.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A plan that was dealt can't be made.
    #[error(
        "{work} can't be computed here as in the rest of the job: {why}; all GPUs of a job have to be of one kind, with \
         the same cuDNN and cuBLASLt, or else cluster.libraries has to be \"own\""
    )]
    UnfitPlan {
        /// What it is for.
        work: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something has no plan among those that were dealt.
    #[error(
        "{work} is computed by none of the plans that the job's workers have in common, which is a mistake in Lockstep; \
         with cluster.libraries = \"own\" none are needed"
    )]
    NoPlan {
        /// Which.
        work: String,
    },
    /// Any other failure of a call.
    #[error("GPU failure in {call}: {text}")]
    Call {
        /// What was called.
        call: &'static str,
        /// The driver's or compiler's words.
        text: String,
    },
}

impl CudaError {
    pub(super) fn library(library: &'static str, call: &'static str, text: String) -> Self {
        CudaError::Library { library, call, text }
    }

    pub(super) fn of_driver(call: &'static str, error: DriverError) -> Self {
        let word = |text: Result<&std::ffi::CStr, DriverError>| match text {
            Ok(text) => text.to_string_lossy().into_owned(),
            Err(_) => format!("code {}", error.0 as u32),
        };
        CudaError::Call { call, text: format!("{} ({})", word(error.error_name()), word(error.error_string())) }
    }
}
