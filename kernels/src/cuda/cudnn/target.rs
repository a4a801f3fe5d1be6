//! What plans are made for.

use std::ptr::null_mut;
use std::sync::Arc;

use cudarc::cudnn::sys::{self, cudnnBackendAttributeName_t as Name, cudnnBackendDescriptorType_t as Kind};

use super::descriptor::{Descriptor, Draft};
use super::{check, version};
use crate::cuda::CudaError;
use crate::cuda::stream::Stream;

/// cuDNN on a GPU's stream.
pub struct Handle {
    raw: sys::cudnnHandle_t,
    stream: Arc<Stream>,
}

// SAFETY: a handle may be used from any thread, by one at a time, as its owner does.
unsafe impl Send for Handle {}

impl Handle {
    /// # Errors
    /// As [`version`], and if cuDNN can't use the GPU.
    pub(in crate::cuda) fn new(stream: &Arc<Stream>) -> Result<Self, CudaError> {
        version()?;
        stream.gpu().enter()?;
        let mut raw = null_mut();
        // SAFETY: the call overwrites a pointer; the GPU's context is this thread's.
        check("cudnnCreate", unsafe { sys::cudnnCreate(&mut raw) })?;
        let handle = Self { raw, stream: stream.clone() };
        // SAFETY: the handle is alive, and holds the stream.
        check("cudnnSetStream", unsafe { sys::cudnnSetStream(raw, stream.handle().cast()) })?;
        Ok(handle)
    }

    pub(super) fn raw(&self) -> sys::cudnnHandle_t {
        self.raw
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.stream.gpu().enter();
        // SAFETY: the handle is destroyed once, and used no more.
        let _ = unsafe { sys::cudnnDestroy(self.raw) };
    }
}

/// A GPU that is not there, as cuDNN describes one: plans finalise for it, and can't be executed.
pub struct DeviceProperties(Descriptor);

impl DeviceProperties {
    /// From cuDNN's JSON: `maxGridSize`, `multiProcessorCount`, `deviceVer` (900 for compute capability 9.0) and so on.
    ///
    /// # Errors
    /// As [`version`], if this cuDNN is older than 9.8, or it does not take the text.
    pub fn from_json(text: &str) -> Result<Self, CudaError> {
        version()?;
        let draft = Draft::new(Kind::CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)?;
        let set = draft.set(Name::CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, text.as_bytes())?;
        Ok(Self(set.finalized()?))
    }
}

/// What a plan is for.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    /// A GPU of this process.
    Gpu(&'a Handle),
    /// One that is described.
    Described(&'a DeviceProperties),
}

impl Target<'_> {
    /// Tells a draft, under whichever name it has for one or the other.
    pub(super) fn of(self, draft: Draft, handle: Option<Name>, properties: Option<Name>) -> Result<Draft, CudaError> {
        match (self, handle, properties) {
            (Self::Gpu(target), Some(name), _) => draft.set(name, &[target.raw]),
            (Self::Described(target), _, Some(name)) => draft.link(name, &[&target.0]),
            _ => Ok(draft),
        }
    }
}
