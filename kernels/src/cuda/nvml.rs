//! NVML, the driver's library for what a GPU is and how it fares: temperature, memory in use, errors of its memory.
//!
//! It is looked for at run time, and nothing depends on it. It counts all GPUs of the machine, whatever
//! `CUDA_VISIBLE_DEVICES` says: so a GPU is named by its place on the PCI bus, which the driver knows too.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulonglong, c_void};

use libloading::Library;

use super::libraries;

/// Codes of nvml.h, `nvmlReturn_t`.
const SUCCESS: c_int = 0;
const NOT_SUPPORTED: c_int = 3;
const NO_PERMISSION: c_int = 4;
/// The longest text that is asked for: a UUID has up to 96 bytes.
const TEXT: usize = 96;

/// Why NVML tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NvmlError {
    /// There is no `libnvidia-ml`.
    #[error("libnvidia-ml.so.1 (NVML, of the NVIDIA driver) was not found")]
    Missing,
    /// A call failed.
    #[error("NVML failure in {call}: {text}")]
    Call {
        /// What was called.
        call: &'static str,
        /// NVML's words.
        text: String,
    },
}

/// How a GPU fares at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its number for ever, `GPU-…`.
    pub uuid: String,
    /// Bytes of its memory that are in use, by any process.
    pub memory_used: u64,
    /// Bytes of its memory.
    pub memory_total: u64,
    /// °C; none where the GPU does not tell.
    pub temperature: Option<u32>,
    /// Errors that its memory could not correct, since the driver was loaded; none where the memory does not check.
    pub ecc_errors: Option<u64>,
    /// What became of rows of its memory that had such errors; none where the GPU has no spare rows.
    pub remapping: Option<Remapping>,
}

/// Rows of a GPU's memory that spare rows take the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remapping {
    /// One will, once the GPU is reset.
    pub pending: bool,
    /// One could not: the GPU has to be exchanged.
    pub failed: bool,
}

/// The library, initialised.
pub struct Nvml {
    library: Library,
}

impl Nvml {
    /// Finds and initialises it.
    ///
    /// # Errors
    /// If it is not there, or does not go with the driver.
    pub fn open() -> Result<Self, NvmlError> {
        let nvml = Self { library: libraries::load(&libraries::NVML).ok_or(NvmlError::Missing)? };
        type Init = unsafe extern "C" fn() -> c_int;
        // SAFETY: the function's type in nvml.h.
        let init = unsafe { nvml.function::<Init>("nvmlInit_v2") }?;
        // SAFETY: it has no preconditions. Should it fail, `Drop` shuts down what is not up, which is an error code.
        nvml.check("nvmlInit_v2", unsafe { init() })?;
        Ok(nvml)
    }

    /// The driver's version, such as 580.82.07.
    ///
    /// # Errors
    /// If the call fails.
    pub fn driver_version(&self) -> Result<String, NvmlError> {
        self.system_text("nvmlSystemGetDriverVersion")
    }

    /// The library's own version.
    ///
    /// # Errors
    /// If the call fails.
    pub fn version(&self) -> Result<String, NvmlError> {
        self.system_text("nvmlSystemGetNVMLVersion")
    }

    /// How the GPU at this place of the PCI bus fares, such as 0000:41:00.0.
    ///
    /// # Errors
    /// If there is none, or a call fails.
    pub fn read(&self, bus: &str) -> Result<Reading, NvmlError> {
        let gpu = self.gpu(bus)?;
        let memory = self.memory(gpu)?;
        Ok(Reading {
            uuid: self.uuid(gpu)?,
            memory_used: memory.used,
            memory_total: memory.total,
            temperature: self.temperature(gpu)?,
            ecc_errors: self.ecc_errors(gpu)?,
            remapping: self.remapping(gpu)?,
        })
    }

    fn gpu(&self, bus: &str) -> Result<Device, NvmlError> {
        const CALL: &str = "nvmlDeviceGetHandleByPciBusId_v2";
        type F = unsafe extern "C" fn(*const c_char, *mut Device) -> c_int;
        let spelled =
            CString::new(bus).map_err(|_| NvmlError::Call { call: CALL, text: format!("{bus:?} holds a byte 0") })?;
        let mut gpu = std::ptr::null_mut();
        // SAFETY: the function's type in nvml.h.
        let find = unsafe { self.function::<F>(CALL) }?;
        // SAFETY: the text ends with a 0, and the call overwrites the handle.
        self.check(CALL, unsafe { find(spelled.as_ptr(), &mut gpu) })?;
        Ok(gpu)
    }

    fn uuid(&self, gpu: Device) -> Result<String, NvmlError> {
        const CALL: &str = "nvmlDeviceGetUUID";
        type F = unsafe extern "C" fn(Device, *mut c_char, c_uint) -> c_int;
        // SAFETY: the function's type in nvml.h.
        let get = unsafe { self.function::<F>(CALL) }?;
        // SAFETY: the handle is of this library; the call writes no more than so many bytes.
        self.text(CALL, |text, len| unsafe { get(gpu, text, len) })
    }

    fn memory(&self, gpu: Device) -> Result<Memory, NvmlError> {
        const CALL: &str = "nvmlDeviceGetMemoryInfo";
        type F = unsafe extern "C" fn(Device, *mut Memory) -> c_int;
        let mut memory = Memory::default();
        // SAFETY: the function's type in nvml.h.
        let get = unsafe { self.function::<F>(CALL) }?;
        // SAFETY: the handle is of this library; the call overwrites the structure.
        self.check(CALL, unsafe { get(gpu, &mut memory) })?;
        Ok(memory)
    }

    fn temperature(&self, gpu: Device) -> Result<Option<u32>, NvmlError> {
        const CALL: &str = "nvmlDeviceGetTemperature";
        const OF_THE_CHIP: c_uint = 0;
        type F = unsafe extern "C" fn(Device, c_uint, *mut c_uint) -> c_int;
        let mut degrees = 0;
        // SAFETY: the function's type in nvml.h.
        let get = unsafe { self.function::<F>(CALL) }?;
        // SAFETY: the handle is of this library; the call overwrites an integer.
        Ok(self.known(CALL, unsafe { get(gpu, OF_THE_CHIP, &mut degrees) })?.then_some(degrees))
    }

    fn ecc_errors(&self, gpu: Device) -> Result<Option<u64>, NvmlError> {
        const CALL: &str = "nvmlDeviceGetTotalEccErrors";
        const UNCORRECTED: c_uint = 1;
        const VOLATILE: c_uint = 0;
        type F = unsafe extern "C" fn(Device, c_uint, c_uint, *mut c_ulonglong) -> c_int;
        let mut errors = 0;
        // SAFETY: the function's type in nvml.h.
        let get = unsafe { self.function::<F>(CALL) }?;
        // SAFETY: the handle is of this library; the call overwrites an integer.
        Ok(self.known(CALL, unsafe { get(gpu, UNCORRECTED, VOLATILE, &mut errors) })?.then_some(errors))
    }

    fn remapping(&self, gpu: Device) -> Result<Option<Remapping>, NvmlError> {
        const CALL: &str = "nvmlDeviceGetRemappedRows";
        type F = unsafe extern "C" fn(Device, *mut c_uint, *mut c_uint, *mut c_uint, *mut c_uint) -> c_int;
        let (mut corrected, mut uncorrected, mut pending, mut failed) = (0, 0, 0, 0);
        // SAFETY: the function's type in nvml.h.
        let get = unsafe { self.function::<F>(CALL) }?;
        // SAFETY: the handle is of this library; the call overwrites four integers.
        let code = unsafe { get(gpu, &mut corrected, &mut uncorrected, &mut pending, &mut failed) };
        Ok(self.known(CALL, code)?.then_some(Remapping { pending: pending != 0, failed: failed != 0 }))
    }

    fn system_text(&self, call: &'static str) -> Result<String, NvmlError> {
        type F = unsafe extern "C" fn(*mut c_char, c_uint) -> c_int;
        // SAFETY: the type of nvml.h's functions that tell of the system.
        let get = unsafe { self.function::<F>(call) }?;
        // SAFETY: the call writes no more than so many bytes.
        self.text(call, |text, len| unsafe { get(text, len) })
    }

    fn text(&self, call: &'static str, get: impl FnOnce(*mut c_char, c_uint) -> c_int) -> Result<String, NvmlError> {
        let mut text = [0u8; TEXT];
        self.check(call, get(text.as_mut_ptr().cast(), TEXT as c_uint))?;
        let whole = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        Ok(whole.to_string_lossy().into_owned())
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` has to be its type.
    unsafe fn function<F: Copy>(&self, name: &'static str) -> Result<F, NvmlError> {
        // SAFETY: as the caller says; it is called while the library is open.
        let found = unsafe { self.library.get::<F>(name) };
        let missing = |_| NvmlError::Call { call: name, text: "this library has no such function".into() };
        found.map(|function| *function).map_err(missing)
    }

    /// Whether a GPU tells what was asked for: some can't, and some containers may not know.
    fn known(&self, call: &'static str, code: c_int) -> Result<bool, NvmlError> {
        match code {
            NOT_SUPPORTED | NO_PERMISSION => Ok(false),
            code => self.check(call, code).map(|()| true),
        }
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<(), NvmlError> {
        if code == SUCCESS { Ok(()) } else { Err(NvmlError::Call { call, text: self.words(code) }) }
    }

    fn words(&self, code: c_int) -> String {
        type F = unsafe extern "C" fn(c_int) -> *const c_char;
        // SAFETY: the function's type in nvml.h.
        let Ok(words) = (unsafe { self.function::<F>("nvmlErrorString") }) else { return format!("code {code}") };
        // SAFETY: it takes any code.
        let text = unsafe { words(code) };
        if text.is_null() {
            return format!("code {code}");
        }
        // SAFETY: a text of the library, which ends with a 0 and is never freed.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

impl Drop for Nvml {
    fn drop(&mut self) {
        type Shutdown = unsafe extern "C" fn() -> c_int;
        // SAFETY: the function's type in nvml.h.
        if let Ok(shutdown) = unsafe { self.function::<Shutdown>("nvmlShutdown") } {
            // A failure here has nobody left to whom it matters.
            // SAFETY: it has no preconditions, and no handle is used any more.
            unsafe { shutdown() };
        }
    }
}

/// `nvmlDevice_t`.
type Device = *mut c_void;

/// `nvmlMemory_t`.
#[derive(Default)]
#[repr(C)]
struct Memory {
    total: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}
