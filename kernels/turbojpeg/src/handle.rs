//! One instance of the library, with limits, and its errors in words.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use turbojpeg_sys as sys;

/// Most pixels of an image that is decoded.
pub const MOST_PIXELS: usize = 1 << 26;
/// Most scans of an image: each goes over all of it, and may be a few bytes.
pub const MOST_SCANS: usize = 500;
/// Most memory for what lies between file and pixels: coefficients of four components of the largest image, and more.
pub const MOST_MEGABYTES: usize = 640;

/// What the library says of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TurboError(pub(crate) String);

/// Owns an instance of the library.
#[derive(Debug)]
pub(crate) struct Handle(NonNull<std::ffi::c_void>);

impl Handle {
    /// One for decoding, in which a warning is an error: else what is cut off would be filled up with grey.
    pub(crate) fn new() -> Result<Self, TurboError> {
        // SAFETY: no argument but a constant.
        let instance = unsafe { sys::tj3Init(sys::TJINIT_TJINIT_DECOMPRESS as c_int) };
        let mut handle = Self(NonNull::new(instance).ok_or_else(|| TurboError("no memory for its decoder".into()))?);
        let limits = [
            (sys::TJPARAM_TJPARAM_STOPONWARNING, 1),
            (sys::TJPARAM_TJPARAM_MAXPIXELS, MOST_PIXELS),
            (sys::TJPARAM_TJPARAM_SCANLIMIT, MOST_SCANS),
            (sys::TJPARAM_TJPARAM_MAXMEMORY, MOST_MEGABYTES),
            // Nobody asks for colour profiles.
            (sys::TJPARAM_TJPARAM_SAVEMARKERS, 0),
        ];
        for (parameter, value) in limits {
            // SAFETY: the instance lives.
            let result = unsafe { sys::tj3Set(handle.raw(), parameter as c_int, value as c_int) };
            handle.checked(result)?;
        }
        Ok(handle)
    }

    /// For a call of the library, while this is borrowed.
    pub(crate) fn raw(&mut self) -> sys::tjhandle {
        self.0.as_ptr()
    }

    /// A parameter of the header that was read last.
    pub(crate) fn get(&mut self, parameter: sys::TJPARAM) -> c_int {
        // SAFETY: the instance lives.
        unsafe { sys::tj3Get(self.raw(), parameter as c_int) }
    }

    /// A call's result, as an error with the library's words if it is one.
    pub(crate) fn checked(&mut self, result: c_int) -> Result<(), TurboError> {
        if result == 0 {
            return Ok(());
        }
        // SAFETY: the instance lives.
        let words = unsafe { sys::tj3GetErrorStr(self.raw()) };
        if words.is_null() {
            return Err(TurboError("its decoder doesn't say why".into()));
        }
        // SAFETY: text that ends with a 0, of the instance's or constant, which no call changes before it is copied.
        let words = unsafe { CStr::from_ptr(words) };
        Err(TurboError(words.to_string_lossy().into_owned()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by tj3Init, and destroyed here alone.
        unsafe { sys::tj3Destroy(self.raw()) }
    }
}
