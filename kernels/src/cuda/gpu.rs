//! One GPU of this process: its context, its memory and its kernels.
//!
//! A call that fails is remembered, and what is asked for after it is left out: ops give no results, and whoever wants to
//! rely on one asks for the GPU's state first.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::compiler::{self, Architecture};
use super::sources::{SOURCES, Source};
use super::{CudaError, libraries};
use crate::device::{Precision, Room};

/// Oldest driver interface: it tells the sizes of a kernel's parameters.
const LEAST_DRIVER: i32 = 12_040;
/// Oldest architecture: Ampere.
const LEAST_ARCHITECTURE: Architecture = Architecture { major: 8, minor: 0 };

/// What people want to know of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// As the driver counts.
    pub index: usize,
    /// The maker's.
    pub name: String,
    /// Its compute capability.
    pub architecture: Architecture,
    /// Its place on the PCI bus, such as `0000:41:00.0`.
    pub bus: String,
    /// Bytes.
    pub memory: usize,
    /// Of the driver: 1000 · major + 10 · minor of the CUDA that it is for.
    pub driver: i32,
}

impl About {
    /// Refuses a GPU that kernels are not written for.
    fn check(&self) -> Result<(), CudaError> {
        let Architecture { major, minor } = self.architecture;
        if self.architecture < LEAST_ARCHITECTURE { Err(CudaError::OldDevice { major, minor }) } else { Ok(()) }
    }
}

pub(crate) struct Gpu {
    about: About,
    device: sys::CUdevice,
    context: sys::CUcontext,
    /// Of vectors, and of activations of each kind once they are wanted.
    of_vectors: OnceLock<Kernels>,
    of_f32: OnceLock<Kernels>,
    of_bf16: OnceLock<Kernels>,
    failure: Mutex<Option<CudaError>>,
    waits: AtomicU64,
    allocations: AtomicU64,
    graphs: AtomicU64,
}

/// What was loaded.
#[derive(Default)]
struct Kernels {
    modules: Vec<sys::CUmodule>,
    by_name: HashMap<&'static str, Kernel>,
}

pub(crate) struct Kernel {
    pub function: sys::CUfunction,
    /// Bytes of each.
    pub parameters: Vec<usize>,
}

// SAFETY: the driver's handles may be used from any thread that has made the context current, as every call here does.
unsafe impl Send for Gpu {}
// SAFETY: the driver's calls are safe to make from several threads at once.
unsafe impl Sync for Gpu {}

impl Gpu {
    /// The GPU of this index; its kernels of vectors are compiled and loaded.
    pub fn new(index: usize) -> Result<Gpu, CudaError> {
        let (about, device) = find(index)?;
        about.check()?;
        // SAFETY: the device is one that the driver has just given.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(failed("cuDevicePrimaryCtxRetain"))?;
        let gpu = Gpu {
            about,
            device,
            context,
            of_vectors: OnceLock::new(),
            of_f32: OnceLock::new(),
            of_bf16: OnceLock::new(),
            failure: Mutex::new(None),
            waits: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
            graphs: AtomicU64::new(0),
        };
        // From here on the context is given back when `gpu` is dropped.
        gpu.enter()?;
        gpu.load(&gpu.of_vectors, None)?;
        Ok(gpu)
    }

    /// Compiles and loads the kernels of such activations, unless they are there.
    pub fn take_activations(&self, precision: Precision) -> Result<(), CudaError> {
        self.enter()?;
        self.load(self.of_activations(precision), Some(precision))
    }

    fn of_activations(&self, precision: Precision) -> &OnceLock<Kernels> {
        match precision {
            Precision::F32 => &self.of_f32,
            Precision::Bf16 => &self.of_bf16,
        }
    }

    /// A kernel of this name, for such activations if it takes any.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn kernel(&self, name: &str, precision: Precision) -> &Kernel {
        let mut loaded = [&self.of_vectors, self.of_activations(precision)].into_iter().filter_map(OnceLock::get);
        loaded.find_map(|kernels| kernels.by_name.get(name)).unwrap_or_else(|| panic!("there is no kernel {name}"))
    }

    pub fn about(&self) -> &About {
        &self.about
    }

    /// What went wrong, if anything did.
    pub fn state(&self) -> Result<(), CudaError> {
        self.failure().clone().map_or(Ok(()), Err)
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<CudaError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a call unless one has failed before, and remembers if it fails.
    pub fn attempt<T>(&self, call: impl FnOnce() -> Result<T, CudaError>) -> Option<T> {
        let mut failure = self.failure();
        if failure.is_some() {
            return None;
        }
        match self.enter().and_then(|()| call()) {
            Ok(value) => Some(value),
            Err(error) => {
                *failure = Some(error);
                None
            }
        }
    }

    /// Makes the context this thread's.
    pub fn enter(&self) -> Result<(), CudaError> {
        // SAFETY: the context is held until `self` is dropped.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("cuCtxSetCurrent"))
    }

    /// All kernels that take such activations, where the context is current.
    fn load(&self, place: &OnceLock<Kernels>, activations: Option<Precision>) -> Result<(), CudaError> {
        if place.get().is_some() {
            return Ok(());
        }
        let mut kernels = Kernels::default();
        let mut wanted = SOURCES.iter().filter(|source| source.activations == activations);
        wanted.try_for_each(|source| kernels.load(source, self.about.architecture))?;
        // Who was faster has the same.
        let _ = place.set(kernels);
        Ok(())
    }

    /// Its memory, unless it has failed.
    pub fn room(&self) -> Option<Room> {
        let info = self.attempt(|| result::mem_get_info().map_err(failed("cuMemGetInfo")));
        info.map(|(free, total)| Room { free, total })
    }

    /// Gives memory back.
    pub fn free(&self, address: u64) {
        if address != 0 && self.enter().is_ok() {
            self.count_wait();
            // The call waits for what was asked for before. If it fails so has that, which the next call tells.
            // SAFETY: the address is of `allocate`, and its buffer is being dropped.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    /// How often the host has waited.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// How often memory was asked for, the GPU's and the host's page-locked.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    /// Memory is about to be asked for.
    pub fn count_allocation(&self) {
        self.allocations.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a graph was launched.
    pub fn graphs(&self) -> u64 {
        self.graphs.load(Ordering::Relaxed)
    }

    /// A graph is about to be launched.
    pub fn count_graph(&self) {
        self.graphs.fetch_add(1, Ordering::Relaxed);
    }

    /// The host is about to wait.
    pub fn count_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }
}

impl Kernels {
    /// Adds those of a source, where the context is current.
    fn load(&mut self, source: &Source, architecture: Architecture) -> Result<(), CudaError> {
        let image = compiler::code(source, architecture)?;
        // SAFETY: an image that NVRTC has made, whole by its hash.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(failed("cuModuleLoadData"))?;
        self.modules.push(module);
        for name in source.kernels() {
            let spelled = CString::new(name).unwrap_or_default();
            // SAFETY: the module is loaded until its GPU is dropped.
            let function =
                unsafe { result::module::get_function(module, spelled) }.map_err(failed("cuModuleGetFunction"))?;
            self.by_name.insert(name, Kernel { function, parameters: parameters(function)? });
        }
        Ok(())
    }
}

impl Drop for Kernels {
    /// Where the context is current.
    fn drop(&mut self) {
        for module in self.modules.drain(..) {
            // SAFETY: the module is unloaded once, and its kernels are used no more.
            let _ = unsafe { result::module::unload(module) };
        }
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // A failure here has nobody left to whom it matters.
        let _ = self.enter();
        drop([self.of_vectors.take(), self.of_f32.take(), self.of_bf16.take()]);
        // SAFETY: the context was retained once.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// GPUs that the driver shows.
///
/// # Errors
/// If there is no driver, an old one, or it fails.
pub fn count() -> Result<usize, CudaError> {
    driver_version()?;
    match result::init() {
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Ok(0),
        done => done.map_err(failed("cuInit"))?,
    }
    let count = result::device::get_count().map_err(failed("cuDeviceGetCount"))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// All GPUs that the driver shows, at least one; and there is a compiler for their kernels. Whether they can be used
/// shows when they are.
///
/// # Errors
/// What is missing, with what to do about it; [`CudaError::NoDevice`] if there is no GPU.
pub fn look() -> Result<Vec<About>, CudaError> {
    let count = count()?;
    if count == 0 {
        return Err(CudaError::NoDevice { index: 0, count });
    }
    let all = (0..count).map(about).collect::<Result<_, _>>()?;
    compiler::version()?;
    Ok(all)
}

/// What a GPU is, without using it.
///
/// # Errors
/// If the driver does not show as many.
pub fn about(index: usize) -> Result<About, CudaError> {
    Ok(find(index)?.0)
}

fn driver_version() -> Result<i32, CudaError> {
    libraries::driver()?;
    let mut version = 0;
    // SAFETY: the call overwrites an integer.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(failed("cuDriverGetVersion"))?;
    if version < LEAST_DRIVER { Err(CudaError::OldDriver { found: version }) } else { Ok(version) }
}

fn find(index: usize) -> Result<(About, sys::CUdevice), CudaError> {
    let count = count()?;
    let ordinal = i32::try_from(index).ok().filter(|_| index < count).ok_or(CudaError::NoDevice { index, count })?;
    let device = result::device::get(ordinal).map_err(failed("cuDeviceGet"))?;
    let name = result::device::get_name(device).map_err(failed("cuDeviceGetName"))?;
    let capability = |attribute| {
        // SAFETY: the device is one that the driver has just given.
        unsafe { result::device::get_attribute(device, attribute) }.map_err(failed("cuDeviceGetAttribute"))
    };
    let major = capability(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = capability(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let architecture = Architecture { major, minor };
    // SAFETY: the same.
    let memory = unsafe { result::device::total_mem(device) }.map_err(failed("cuDeviceTotalMem"))?;
    Ok((About { index, name, architecture, bus: bus(device)?, memory, driver: driver_version()? }, device))
}

/// Where a GPU is on the PCI bus.
fn bus(device: sys::CUdevice) -> Result<String, CudaError> {
    let mut text = [0u8; 32];
    // SAFETY: the device is one that the driver has given; the call writes no more than so many bytes.
    unsafe { sys::cuDeviceGetPCIBusId(text.as_mut_ptr().cast(), text.len() as c_int, device) }
        .result()
        .map_err(failed("cuDeviceGetPCIBusId"))?;
    Ok(CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned())
}

/// Bytes of each of a kernel's parameters.
fn parameters(function: sys::CUfunction) -> Result<Vec<usize>, CudaError> {
    let mut all = Vec::new();
    loop {
        let (mut offset, mut bytes) = (0, 0);
        // SAFETY: the function is loaded; the call overwrites both integers or gives an error.
        match unsafe { sys::cuFuncGetParamInfo(function, all.len(), &mut offset, &mut bytes) } {
            sys::CUresult::CUDA_SUCCESS => all.push(bytes),
            sys::CUresult::CUDA_ERROR_INVALID_VALUE => return Ok(all),
            error => return Err(CudaError::of_driver("cuFuncGetParamInfo", DriverError(error))),
        }
    }
}

pub(super) fn of_allocation(error: DriverError, wanted: usize, what: &str) -> CudaError {
    match (error.0, result::mem_get_info()) {
        (sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY, Ok((free, total))) => {
            CudaError::OutOfMemory { what: what.to_owned(), wanted, free, total }
        }
        _ => CudaError::of_driver("cuMemAlloc", error),
    }
}

pub(super) fn failed(call: &'static str) -> impl Fn(DriverError) -> CudaError {
    move |error| CudaError::of_driver(call, error)
}
