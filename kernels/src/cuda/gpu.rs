//! One GPU of this process: its context, its one stream and its kernels.
//!
//! All work of a process on a GPU goes through one stream, in the order in which it is asked for, so that memory can be
//! passed on from op to op without waiting. A call that fails is remembered, and what is asked for after it is left
//! out: ops give no results, and whoever wants to rely on one asks for the GPU's state first.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::compiler::{self, Architecture};
use super::launch::{Argument, Grid};
use super::sources::{SOURCES, Source};
use super::{CudaError, libraries};

/// Oldest driver interface: it tells the sizes of a kernel's parameters.
const LEAST_DRIVER: i32 = 12_040;
/// Oldest architecture: Ampere.
const LEAST_ARCHITECTURE: Architecture = Architecture { major: 8, minor: 0 };
/// Most arguments of a kernel.
const ARGUMENTS: usize = 24;

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

pub(super) struct Gpu {
    about: About,
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    modules: Vec<sys::CUmodule>,
    kernels: HashMap<&'static str, Kernel>,
    failure: Mutex<Option<CudaError>>,
}

struct Kernel {
    function: sys::CUfunction,
    /// Bytes of each.
    parameters: Vec<usize>,
}

// SAFETY: the driver's handles may be used from any thread that has made the context current, as every call here does.
unsafe impl Send for Gpu {}
// SAFETY: the driver's calls are safe to make from several threads at once.
unsafe impl Sync for Gpu {}

impl Gpu {
    /// The process' GPU of this index: the one that is there, or else a new one, whose kernels are compiled and loaded.
    pub fn open(index: usize) -> Result<Arc<Gpu>, CudaError> {
        static OPEN: OnceLock<Mutex<HashMap<usize, Weak<Gpu>>>> = OnceLock::new();
        let mut open = OPEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gpu) = open.get(&index).and_then(Weak::upgrade) {
            return Ok(gpu);
        }
        let gpu = Arc::new(Gpu::new(index)?);
        open.insert(index, Arc::downgrade(&gpu));
        Ok(gpu)
    }

    fn new(index: usize) -> Result<Gpu, CudaError> {
        let (about, device) = find(index)?;
        about.check()?;
        // SAFETY: the device is one that the driver has just given.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(failed("cuDevicePrimaryCtxRetain"))?;
        let mut gpu = Gpu {
            about,
            device,
            context,
            stream: std::ptr::null_mut(),
            modules: Vec::new(),
            kernels: HashMap::new(),
            failure: Mutex::new(None),
        };
        // From here on the context is given back when `gpu` is dropped.
        gpu.enter()?;
        gpu.stream =
            result::stream::create(result::stream::StreamKind::NonBlocking).map_err(failed("cuStreamCreate"))?;
        SOURCES.iter().try_for_each(|source| gpu.load(source))?;
        Ok(gpu)
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
    fn attempt<T>(&self, call: impl FnOnce() -> Result<T, CudaError>) -> Option<T> {
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
    fn enter(&self) -> Result<(), CudaError> {
        // SAFETY: the context is held until `self` is dropped.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("cuCtxSetCurrent"))
    }

    fn load(&mut self, source: &Source) -> Result<(), CudaError> {
        let image = compiler::code(source, self.about.architecture)?;
        // SAFETY: an image that NVRTC has made, whole by its hash.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) }.map_err(failed("cuModuleLoadData"))?;
        self.modules.push(module);
        for name in source.kernels() {
            let spelled = CString::new(name).unwrap_or_default();
            // SAFETY: the module is loaded until `self` is dropped.
            let function =
                unsafe { result::module::get_function(module, spelled) }.map_err(failed("cuModuleGetFunction"))?;
            self.kernels.insert(name, Kernel { function, parameters: parameters(function)? });
        }
        Ok(())
    }

    /// Starts a kernel.
    ///
    /// # Panics
    /// If there is no such kernel, or the arguments are not as many and as long as its parameters.
    #[track_caller]
    pub fn launch(&self, name: &str, grid: Grid, arguments: &[Argument]) {
        if grid.is_empty() {
            return;
        }
        let kernel = self.kernels.get(name).unwrap_or_else(|| panic!("there is no kernel {name}"));
        let lengths = arguments.iter().map(Argument::bytes);
        assert!(
            lengths.clone().eq(kernel.parameters.iter().copied()),
            "{name} takes arguments of {:?} bytes, not {:?}",
            kernel.parameters,
            lengths.collect::<Vec<_>>()
        );
        let mut places = [std::ptr::null_mut(); ARGUMENTS];
        for (place, argument) in places.iter_mut().zip(arguments) {
            *place = std::ptr::from_ref(argument).cast_mut().cast::<c_void>();
        }
        let ([x, y, z], threads) = (grid.blocks, grid.threads);
        self.attempt(|| {
            // SAFETY: the function is loaded. As many arguments as it takes, of the bytes that it takes, are read before
            // the call returns. Pointers among them are of views and scratch memory that the op has checked to be as
            // long as the kernel goes, in memory that is given back behind all that the stream was asked for before.
            unsafe { result::launch_kernel(kernel.function, (x, y, z), (threads, 1, 1), 0, self.stream, &mut places) }
                .map_err(failed("cuLaunchKernel"))
        });
    }

    /// Address of so many zeros; 0 if there is no memory left.
    pub fn allocate(&self, bytes: usize) -> u64 {
        if bytes == 0 {
            return 0;
        }
        let allocated = self.attempt(|| {
            // SAFETY: the contents are set before anyone reads them.
            let address = unsafe { result::malloc_sync(bytes) }.map_err(|error| of_allocation(error, bytes))?;
            // SAFETY: so many bytes were just allocated.
            unsafe { result::memset_d8_async(address, 0, bytes, self.stream) }.map_err(failed("cuMemsetD8Async"))?;
            Ok(address)
        });
        allocated.unwrap_or(0)
    }

    /// Gives memory back.
    pub fn free(&self, address: u64) {
        if address != 0 && self.enter().is_ok() {
            // The call waits for what was asked for before. If it fails so has that, which the next call tells.
            // SAFETY: the address is of `allocate`, and its buffer is being dropped.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    /// Copies from the host; `from` may be changed at once.
    pub fn upload<T>(&self, from: &[T], to: u64) {
        if from.is_empty() {
            return;
        }
        self.attempt(|| {
            // SAFETY: `to` is of a view or scratch memory as long as `from`. The driver copies pageable memory aside
            // before the call returns.
            unsafe { result::memcpy_htod_async(to, from, self.stream) }.map_err(failed("cuMemcpyHtoDAsync"))
        });
    }

    /// Copies to the host and waits for it. Where the GPU has failed `to` stays as it is.
    pub fn download<T>(&self, from: u64, to: &mut [T]) {
        if to.is_empty() {
            return;
        }
        self.attempt(|| {
            // SAFETY: `from` is of a view or scratch memory as long as `to`, which lives until the copy is done.
            unsafe { result::memcpy_dtoh_async(to, from, self.stream) }.map_err(failed("cuMemcpyDtoHAsync"))?;
            self.wait()
        });
    }

    /// Copies within the GPU's memory.
    pub fn copy(&self, from: u64, to: u64, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.attempt(|| {
            // SAFETY: both are of views of so many bytes, one of them exclusive, so that they don't overlap.
            unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }.map_err(failed("cuMemcpyDtoDAsync"))
        });
    }

    /// Sets `len` elements of 4 bytes or 1.
    pub fn fill(&self, bits: u32, to: u64, len: usize, bytes: usize) {
        if len == 0 {
            return;
        }
        self.attempt(|| {
            let done = match bytes {
                // SAFETY: `to` is of an exclusive view of so many elements.
                4 => unsafe { sys::cuMemsetD32Async(to, bits, len, self.stream) },
                // SAFETY: the same.
                _ => unsafe { sys::cuMemsetD8Async(to, bits as u8, len, self.stream) },
            };
            done.result().map_err(failed("cuMemsetAsync"))
        });
    }

    /// Waits until all that was asked for is done.
    pub fn finish(&self) {
        self.attempt(|| self.wait());
    }

    fn wait(&self) -> Result<(), CudaError> {
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.stream) }.map_err(failed("cuStreamSynchronize"))
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // A failure here has nobody left to whom it matters.
        let _ = self.enter();
        if !self.stream.is_null() {
            // SAFETY: the stream is destroyed once, and used no more.
            let _ = unsafe { result::stream::destroy(self.stream) };
        }
        for module in self.modules.drain(..) {
            // SAFETY: the module is unloaded once, and its kernels are used no more.
            let _ = unsafe { result::module::unload(module) };
        }
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

fn of_allocation(error: DriverError, wanted: usize) -> CudaError {
    match (error.0, result::mem_get_info()) {
        (sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY, Ok((free, total))) => CudaError::OutOfMemory { wanted, free, total },
        _ => CudaError::of_driver("cuMemAlloc", error),
    }
}

fn failed(call: &'static str) -> impl Fn(DriverError) -> CudaError {
    move |error| CudaError::of_driver(call, error)
}
