//! The library itself: where it is found, and the functions of it that are used.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use libloading::Library;

use crate::NcclError;

/// The oldest version that will do, as `ncclGetVersion` tells it: communicators that don't block are reliable from it on.
pub(crate) const OLDEST: i32 = 21_800;
/// The major version whose interface is known.
pub(crate) const NEWEST_MAJOR: i32 = 2;

pub(crate) const SUCCESS: c_int = 0;
pub(crate) const IN_PROGRESS: c_int = 7;

/// What a communicator is to NCCL.
pub(crate) type Handle = *mut c_void;

/// Names a communicator that is about to be made; its maker waits for the others behind it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniqueId([u8; UniqueId::BYTES]);

impl UniqueId {
    /// Bytes of an id.
    pub const BYTES: usize = 128;

    /// To be sent to the others.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As sent by its maker; none if there are more or fewer bytes than an id has.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// `ncclConfig_t` as of version 2.14, which every later one takes: it believes the size, and fills in what is behind.
#[repr(C)]
pub(crate) struct Config {
    size: usize,
    magic: c_uint,
    version: c_uint,
    blocking: c_int,
}

impl Config {
    /// A communicator whose calls don't block.
    pub fn without_blocking() -> Self {
        Self { size: size_of::<Self>(), magic: 0xcafe_beef, version: 21_400, blocking: 0 }
    }
}

macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) -> $result:ty;)*) => {
        /// The functions that are used, but for the one that tells the version.
        pub(crate) struct Functions {
            $(pub $field: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        impl Functions {
            fn of(library: &Library) -> Result<Self, NcclError> {
                $(
                    // SAFETY: the type is that of nccl.h for every version 2 of the library.
                    let $field = *unsafe { library.get($name) }.map_err(|_| NcclError::Function($name))?;
                )*
                Ok(Self { $($field),* })
            }
        }
    };
}

functions! {
    get_unique_id = "ncclGetUniqueId": fn(*mut UniqueId) -> c_int;
    get_error_string = "ncclGetErrorString": fn(c_int) -> *const c_char;
    get_last_error = "ncclGetLastError": fn(Handle) -> *const c_char;
    comm_init_rank_config = "ncclCommInitRankConfig":
        fn(*mut Handle, c_int, UniqueId, c_int, *mut Config) -> c_int;
    comm_get_async_error = "ncclCommGetAsyncError": fn(Handle, *mut c_int) -> c_int;
    comm_abort = "ncclCommAbort": fn(Handle) -> c_int;
    comm_finalize = "ncclCommFinalize": fn(Handle) -> c_int;
    comm_destroy = "ncclCommDestroy": fn(Handle) -> c_int;
    group_start = "ncclGroupStart": fn() -> c_int;
    group_end = "ncclGroupEnd": fn() -> c_int;
    send = "ncclSend": fn(*const c_void, usize, c_int, c_int, Handle, *mut c_void) -> c_int;
    recv = "ncclRecv": fn(*mut c_void, usize, c_int, c_int, Handle, *mut c_void) -> c_int;
    all_gather = "ncclAllGather":
        fn(*const c_void, *mut c_void, usize, c_int, Handle, *mut c_void) -> c_int;
    reduce_scatter = "ncclReduceScatter":
        fn(*const c_void, *mut c_void, usize, c_int, c_int, Handle, *mut c_void) -> c_int;
}

/// The library, found and of a version that will do.
pub struct Nccl {
    pub(crate) functions: Functions,
    version: i32,
    _library: Library,
}

impl Nccl {
    /// An open library as NCCL.
    ///
    /// # Errors
    /// [`NcclError::Version`], [`NcclError::Function`].
    pub fn of(library: Library) -> Result<Self, NcclError> {
        // First: an old one lacks functions, and is to be told by its age.
        let version = version(&library)?;
        if version < OLDEST || version / 10_000 != NEWEST_MAJOR {
            return Err(NcclError::Version { found: in_words(version) });
        }
        Ok(Self { functions: Functions::of(&library)?, version, _library: library })
    }

    /// As people write it: 2.28.9.
    pub fn version(&self) -> String {
        in_words(self.version)
    }

    /// A name for a communicator to be made. This process then waits for the others' word, until they are all there.
    ///
    /// # Errors
    /// If NCCL finds no network interface.
    pub fn unique_id(&self) -> Result<UniqueId, NcclError> {
        let mut id = UniqueId([0; UniqueId::BYTES]);
        // SAFETY: the call overwrites an id.
        let code = unsafe { (self.functions.get_unique_id)(&mut id) };
        self.checked("ncclGetUniqueId", code)?;
        Ok(id)
    }

    /// What a call's code means where no communicator is concerned.
    fn checked(&self, call: &'static str, code: c_int) -> Result<(), NcclError> {
        if code == SUCCESS { Ok(()) } else { Err(self.failure(call, code, std::ptr::null_mut())) }
    }

    pub(crate) fn failure(&self, call: &'static str, code: c_int, handle: Handle) -> NcclError {
        // SAFETY: NCCL gives a constant text for any code.
        let text = unsafe { words((self.functions.get_error_string)(code)) };
        // SAFETY: NCCL gives the process' last error, a text of its own that it keeps; the handle is not looked at.
        let detail = unsafe { words((self.functions.get_last_error)(handle)) };
        let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
        NcclError::Call { call, text, detail }
    }
}

fn version(library: &Library) -> Result<i32, NcclError> {
    const CALL: &str = "ncclGetVersion";
    type F = unsafe extern "C" fn(*mut c_int) -> c_int;
    let mut version = 0;
    // SAFETY: the type is that of nccl.h for every version of the library.
    let call = unsafe { library.get::<F>(CALL) }.map_err(|_| NcclError::Function(CALL))?;
    // SAFETY: the call overwrites an integer.
    match unsafe { call(&mut version) } {
        SUCCESS => Ok(version),
        code => Err(NcclError::Call { call: CALL, text: format!("code {code}"), detail: String::new() }),
    }
}

fn in_words(version: i32) -> String {
    // Versions up to 2.8 are coded with one digit less for the major number.
    let (major, rest) =
        if version < 10_000 { (version / 1_000, version % 1_000) } else { (version / 10_000, version % 10_000) };
    format!("{major}.{}.{}", rest / 100, rest % 100)
}

/// # Safety
/// `text` is null or ends with a byte 0.
unsafe fn words(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: it is not null and ends with a byte 0.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned()
}
