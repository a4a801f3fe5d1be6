//! NVIDIA's libraries, which are looked for when they are first needed: nothing of CUDA is linked.

use std::path::PathBuf;
use std::sync::OnceLock;

use cudarc::{cublaslt, cudnn, driver, nvrtc};
use libloading::Library;

use super::{CudaError, places};

const DRIVER: [&str; 2] = ["libcuda.so.1", "libcuda.so"];
const COMPILER: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];
const DNN: [&str; 2] = ["libcudnn.so.9", "libcudnn.so"];
const BLAS: [&str; 3] = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"];

/// Finds the driver.
pub(super) fn driver() -> Result<(), CudaError> {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let present = PRESENT.get_or_init(|| {
        open_from_folders(&DRIVER);
        // SAFETY: the constructors of NVIDIA's driver library, or of one that stands in for it, have no preconditions.
        unsafe { driver::sys::is_culib_present() }
    });
    if *present { Ok(()) } else { Err(CudaError::NoDriver) }
}

/// The user's folders.
pub(crate) fn folders() -> &'static [PathBuf] {
    &places::current().libraries
}

/// Finds the compiler.
pub(super) fn compiler() -> Result<(), CudaError> {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let present = PRESENT.get_or_init(|| {
        open_from_folders(&COMPILER);
        open_builtins();
        // SAFETY: as for the driver.
        unsafe { nvrtc::sys::is_culib_present() }
    });
    if *present { Ok(()) } else { Err(CudaError::NoCompiler) }
}

/// Finds cuDNN.
pub(super) fn dnn() -> Result<(), CudaError> {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let present = PRESENT.get_or_init(|| {
        open_from_folders(&DNN);
        // SAFETY: as for the driver.
        unsafe { cudnn::sys::is_culib_present() }
    });
    if *present { Ok(()) } else { Err(CudaError::NoLibrary { library: "cuDNN", file: DNN[0] }) }
}

/// Finds cuBLASLt. cuDNN takes the one that is open then.
pub(super) fn blas() -> Result<(), CudaError> {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    let present = PRESENT.get_or_init(|| {
        open_from_folders(&BLAS);
        // SAFETY: as for the driver.
        unsafe { cublaslt::sys::is_culib_present() }
    });
    if *present { Ok(()) } else { Err(CudaError::NoLibrary { library: "cuBLASLt", file: BLAS[0] }) }
}

/// Opens a library from the user's folders and keeps it: the dynamic linker then has it for whoever asks by its name.
fn open_from_folders(names: &[&str]) {
    let files = folders().iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    files.filter(|file| file.exists()).any(open);
}

/// NVRTC looks for its second library where the system has its own, and not beside itself.
fn open_builtins() {
    let entries = folders().iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    let names = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("libnvrtc-builtins.so"));
    names.for_each(|entry| {
        open(entry.path());
    });
}

/// Opens a library for good. Gives whether it could be.
fn open(file: PathBuf) -> bool {
    // SAFETY: the user names its folder as one of CUDA libraries, whose constructors have no preconditions.
    let library = unsafe { Library::new(file) };
    library.map(std::mem::forget).is_ok()
}
