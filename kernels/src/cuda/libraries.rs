//! NVIDIA's libraries, which are looked for when they are first needed: nothing of CUDA is linked.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cudarc::{cublaslt, cudnn, driver, nvrtc};
use libloading::Library;

use super::{CudaError, places};

pub(super) const DRIVER: [&str; 2] = ["libcuda.so.1", "libcuda.so"];
pub(super) const COMPILER: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];
pub(crate) const NCCL: [&str; 2] = ["libnccl.so.2", "libnccl.so"];
pub(super) const NVML: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
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
fn folders() -> &'static [PathBuf] {
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

/// Opens the first of these files that can be opened: from the user's folders, else from where the system has its own.
pub(crate) fn load(names: &[&str]) -> Option<Library> {
    // SAFETY: constructors of NVIDIA's libraries, or of ones that stand in for them, have no preconditions.
    let open = |file: PathBuf| unsafe { Library::new(file) }.ok();
    in_folders(names).chain(names.iter().map(PathBuf::from)).find_map(open)
}

/// The file of an open library, by its name without version; symbolic links are followed.
pub(super) fn path_of(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    let is_it = |path: &&Path| {
        let file = path.file_name().map(|file| file.to_string_lossy());
        file.is_some_and(|file| file.strip_prefix(name).is_some_and(|rest| rest.starts_with(".so")))
    };
    paths.find(is_it).map(Path::to_path_buf)
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
    in_folders(names).any(open);
}

/// Files of these names in the user's folders.
fn in_folders(names: &[&str]) -> impl Iterator<Item = PathBuf> {
    let files = folders().iter().flat_map(move |folder| names.iter().map(move |name| folder.join(name)));
    files.filter(|file| file.exists())
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
