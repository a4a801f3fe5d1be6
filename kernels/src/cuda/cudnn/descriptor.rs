//! Descriptors: everything that cuDNN's backend knows is one. Attributes are set one by one, then it is finalised, and
//! from then on it is only read.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

use cudarc::cudnn::sys;

use super::check;
use crate::cuda::CudaError;

type Name = sys::cudnnBackendAttributeName_t;
type Kind = sys::cudnnBackendDescriptorType_t;
type Type = sys::cudnnBackendAttributeType_t;

/// A type of which attributes have elements.
pub(super) trait Element: Copy {
    /// As cuDNN calls it.
    const TYPE: Type;
}

/// A type that holds whatever cuDNN may write.
pub(super) trait Told: Element + Default {}

macro_rules! elements {
    ($($of:ty => $name:ident),* $(,)?) => {
        $(impl Element for $of { const TYPE: Type = Type::$name; })*
    };
}

elements! {
    bool => CUDNN_TYPE_BOOLEAN,
    f32 => CUDNN_TYPE_FLOAT,
    i64 => CUDNN_TYPE_INT64,
    u8 => CUDNN_TYPE_CHAR,
    Knob => CUDNN_TYPE_KNOB_TYPE,
    Note => CUDNN_TYPE_NUMERICAL_NOTE,
    *mut c_void => CUDNN_TYPE_VOID_PTR,
    sys::cudnnBackendHeurMode_t => CUDNN_TYPE_HEUR_MODE,
    sys::cudnnConvolutionMode_t => CUDNN_TYPE_CONVOLUTION_MODE,
    sys::cudnnDataType_t => CUDNN_TYPE_DATA_TYPE,
    sys::cudnnHandle_t => CUDNN_TYPE_HANDLE,
    sys::cudnnNanPropagation_t => CUDNN_TYPE_NAN_PROPOGATION,
    sys::cudnnPointwiseMode_t => CUDNN_TYPE_POINTWISE_MODE,
}

/// Code of a knob, one of `cudnnBackendKnobType_t` or newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Knob(pub u32);

/// Code of what an engine does to numbers, one of `cudnnBackendNumericalNote_t` or newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Note(pub u32);

impl Told for i64 {}
impl Told for Knob {}
impl Told for Note {}

/// Owns what cuDNN has made.
struct Raw(sys::cudnnBackendDescriptor_t);

impl Raw {
    fn new(kind: Kind) -> Result<Self, CudaError> {
        let mut raw = null_mut();
        // SAFETY: the call overwrites a pointer.
        check("cudnnBackendCreateDescriptor", unsafe { sys::cudnnBackendCreateDescriptor(kind, &mut raw) })?;
        Ok(Self(raw))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the descriptor is destroyed once, and used no more.
        let _ = unsafe { sys::cudnnBackendDestroyDescriptor(self.0) };
    }
}

/// A descriptor that still takes attributes.
pub(super) struct Draft {
    raw: Raw,
    parts: Vec<Descriptor>,
}

impl Draft {
    pub fn new(kind: Kind) -> Result<Self, CudaError> {
        Ok(Self { raw: Raw::new(kind)?, parts: Vec::new() })
    }

    /// Sets an attribute to elements.
    pub fn set<T: Element>(self, name: Name, elements: &[T]) -> Result<Self, CudaError> {
        // SAFETY: as many elements as told, of the type that is told.
        unsafe { self.attribute(name, T::TYPE, elements.len(), elements.as_ptr().cast()) }?;
        Ok(self)
    }

    /// Sets an attribute to other descriptors, which live as long as this one.
    pub fn link(mut self, name: Name, parts: &[&Descriptor]) -> Result<Self, CudaError> {
        let raw: Vec<_> = parts.iter().map(|part| part.raw()).collect();
        // SAFETY: as many descriptors as told, all of them alive.
        unsafe { self.attribute(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, raw.len(), raw.as_ptr().cast()) }?;
        self.parts.extend(parts.iter().map(|part| (*part).clone()));
        Ok(self)
    }

    /// # Safety
    /// `elements` are `len` of `of`.
    unsafe fn attribute(&self, name: Name, of: Type, len: usize, elements: *const c_void) -> Result<(), CudaError> {
        // SAFETY: the descriptor is alive; the elements are as told.
        let done = unsafe { sys::cudnnBackendSetAttribute(self.raw.0, name, of, len as i64, elements) };
        check("cudnnBackendSetAttribute", done)
    }

    pub fn finalized(self) -> Result<Descriptor, CudaError> {
        // SAFETY: the descriptor is alive.
        check("cudnnBackendFinalize", unsafe { sys::cudnnBackendFinalize(self.raw.0) })?;
        Ok(Descriptor(Arc::new(Finalized { raw: self.raw, _parts: self.parts })))
    }
}

struct Finalized {
    raw: Raw,
    /// Released behind the descriptor that refers to them.
    _parts: Vec<Descriptor>,
}

// SAFETY: a descriptor belongs to no thread, and a finalised one is only read.
unsafe impl Send for Finalized {}
// SAFETY: the same.
unsafe impl Sync for Finalized {}

/// A descriptor that changes no more.
#[derive(Clone)]
pub(super) struct Descriptor(Arc<Finalized>);

impl Descriptor {
    pub fn raw(&self) -> sys::cudnnBackendDescriptor_t {
        self.0.raw.0
    }

    /// An attribute's elements, `most` at most.
    pub fn get<T: Told>(&self, name: Name, most: usize) -> Result<Vec<T>, CudaError> {
        let mut elements = vec![T::default(); most];
        // SAFETY: as many elements as told, of a type that holds whatever is written.
        let count = unsafe { self.attribute(name, T::TYPE, most, elements.as_mut_ptr().cast()) }?;
        elements.truncate(count);
        Ok(elements)
    }

    /// An attribute's one number.
    pub fn number(&self, name: Name) -> Result<i64, CudaError> {
        let missing = || CudaError::library("cuDNN", "cudnnBackendGetAttribute", format!("{name:?} has no value"));
        self.get(name, 1)?.first().copied().ok_or_else(missing)
    }

    /// An attribute's descriptors, `most` at most.
    pub fn parts(&self, name: Name, kind: Kind, most: usize) -> Result<Vec<Descriptor>, CudaError> {
        // The call fills descriptors that the caller has made.
        let made = (0..most).map(|_| Raw::new(kind)).collect::<Result<Vec<_>, _>>()?;
        let mut raw: Vec<_> = made.iter().map(|made| made.0).collect();
        // SAFETY: as many descriptors as told, all of them alive and of the attribute's kind.
        let count =
            unsafe { self.attribute(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, most, raw.as_mut_ptr().cast()) }?;
        let whole = |raw| Descriptor(Arc::new(Finalized { raw, _parts: vec![self.clone()] }));
        Ok(made.into_iter().take(count).map(whole).collect())
    }

    /// Elements or descriptors that an attribute has.
    pub fn count(&self, name: Name, of: Type) -> Result<usize, CudaError> {
        // SAFETY: nothing is written beside the count.
        unsafe { self.attribute(name, of, 0, null_mut()) }
    }

    /// # Safety
    /// `elements` has room for `most` of `of`.
    unsafe fn attribute(&self, name: Name, of: Type, most: usize, elements: *mut c_void) -> Result<usize, CudaError> {
        let mut count = 0;
        // SAFETY: the descriptor is alive; the elements are as told.
        let done = unsafe { sys::cudnnBackendGetAttribute(self.raw(), name, of, most as i64, &mut count, elements) };
        check("cudnnBackendGetAttribute", done)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }
}
