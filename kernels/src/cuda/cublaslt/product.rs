//! A matrix product, and the descriptors that cuBLASLt wants of it.

use std::ffi::c_void;
use std::fmt;
use std::ptr::null_mut;

use cudarc::cublaslt::sys::{self, cublasLtMatmulDescAttributes_t as Attribute};

use super::check;
use crate::cuda::{Arithmetic, CudaError};

/// `out[i,j] = Σ left[i,k] · right[k,j] (+ bias[j])`, row by row. Elements are the arithmetic's, sums are in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    /// Rows of `out`.
    pub rows: usize,
    /// Columns of `out`.
    pub columns: usize,
    /// Terms of each sum.
    pub terms: usize,
    /// How `left` lies in memory.
    pub left: Stored,
    /// How `right` lies in memory.
    pub right: Stored,
    /// Whether each column's bias is added.
    pub bias: bool,
    /// In which numbers.
    pub arithmetic: Arithmetic,
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stored {
    /// Row by row.
    Rows,
    /// Column by column.
    Columns,
}

/// Where a product's operands are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// rows × terms.
    pub left: u64,
    /// terms × columns.
    pub right: u64,
    /// columns, if there is one.
    pub bias: u64,
    /// rows × columns.
    pub out: u64,
}

impl Product {
    /// Bytes of which all addresses are multiples: f32 weights lie anywhere in the flat vector of parameters.
    pub fn alignment(&self) -> u32 {
        match self.arithmetic {
            Arithmetic::F32 => 4,
            Arithmetic::Tf32 | Arithmetic::Bf16 => 16,
        }
    }

    fn element(&self) -> sys::cudaDataType {
        match self.arithmetic {
            Arithmetic::F32 | Arithmetic::Tf32 => sys::cudaDataType_t::CUDA_R_32F,
            Arithmetic::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
        }
    }

    fn compute(&self) -> sys::cublasComputeType_t {
        match self.arithmetic {
            Arithmetic::Tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Arithmetic::F32 | Arithmetic::Bf16 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        }
    }
}

/// As people read it: `256×4096 of 9216 terms f32`.
impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, columns, terms, arithmetic, .. } = self;
        write!(f, "{rows}×{columns} of {terms} terms {arithmetic}")
    }
}

/// What the library has made, and how it is given back.
pub(super) struct Owned<T: Copy> {
    raw: T,
    destroy: unsafe fn(T) -> sys::cublasStatus_t,
}

// SAFETY: descriptors belong to no thread.
unsafe impl<T: Copy> Send for Owned<T> {}

impl<T: Copy> Owned<T> {
    /// # Safety
    /// `raw` is alive, and nobody else's.
    pub unsafe fn new(raw: T, destroy: unsafe fn(T) -> sys::cublasStatus_t) -> Self {
        Self { raw, destroy }
    }

    pub fn raw(&self) -> T {
        self.raw
    }
}

impl<T: Copy> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it is destroyed once, and used no more.
        let _ = unsafe { (self.destroy)(self.raw) };
    }
}

type Layout = Owned<sys::cublasLtMatrixLayout_t>;

/// The library counts columns first: to it `out` is `out`ᵀ = `right`ᵀ · `left`ᵀ, the first factor ours on the right.
pub(super) struct Descriptors {
    pub matmul: Owned<sys::cublasLtMatmulDesc_t>,
    pub first: Layout,
    pub second: Layout,
    pub out: Layout,
}

impl Descriptors {
    pub fn new(product: &Product) -> Result<Self, CudaError> {
        let Product { rows, columns, terms, left, right, bias, .. } = *product;
        let element = product.element();
        let descriptors = Self {
            matmul: matmul(product.compute())?,
            first: match right {
                Stored::Rows => layout(element, columns, terms)?,
                Stored::Columns => layout(element, terms, columns)?,
            },
            second: match left {
                Stored::Rows => layout(element, terms, rows)?,
                Stored::Columns => layout(element, rows, terms)?,
            },
            out: layout(element, columns, rows)?,
        };
        // cublasOperation_t: as it is, or turned around.
        let operation = |stored| match stored {
            Stored::Rows => 0i32,
            Stored::Columns => 1i32,
        };
        descriptors.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, operation(right))?;
        descriptors.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, operation(left))?;
        if bias {
            let added = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
            descriptors.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, added)?;
        }
        Ok(descriptors)
    }

    /// Where the bias is.
    pub fn set_bias(&mut self, address: u64) -> Result<(), CudaError> {
        self.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, address as *mut c_void)
    }

    fn set<T>(&self, attribute: Attribute, value: T) -> Result<(), CudaError> {
        let bytes = size_of::<T>();
        // SAFETY: the descriptor is alive; as many bytes as told are read.
        let done = unsafe {
            sys::cublasLtMatmulDescSetAttribute(self.matmul.raw(), attribute, (&raw const value).cast(), bytes)
        };
        check("cublasLtMatmulDescSetAttribute", done)
    }
}

fn matmul(compute: sys::cublasComputeType_t) -> Result<Owned<sys::cublasLtMatmulDesc_t>, CudaError> {
    let mut raw = null_mut();
    let scale = sys::cudaDataType_t::CUDA_R_32F;
    // SAFETY: the call overwrites a pointer.
    check("cublasLtMatmulDescCreate", unsafe { sys::cublasLtMatmulDescCreate(&mut raw, compute, scale) })?;
    // SAFETY: it was just made.
    Ok(unsafe { Owned::new(raw, sys::cublasLtMatmulDescDestroy) })
}

/// Of a matrix column by column without gaps.
fn layout(element: sys::cudaDataType, rows: usize, columns: usize) -> Result<Layout, CudaError> {
    let mut raw = null_mut();
    // SAFETY: the call overwrites a pointer.
    let done = unsafe { sys::cublasLtMatrixLayoutCreate(&mut raw, element, rows as u64, columns as u64, rows as i64) };
    check("cublasLtMatrixLayoutCreate", done)?;
    // SAFETY: it was just made.
    Ok(unsafe { Owned::new(raw, sys::cublasLtMatrixLayoutDestroy) })
}
