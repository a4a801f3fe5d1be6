//! Which algorithm computes a product, and how it is started.

use std::ffi::c_void;
use std::ptr::null_mut;

use cudarc::cublaslt::sys::{
    self, cublasLtMatmulAlgo_t, cublasLtMatmulAlgoCapAttributes_t as Capability,
    cublasLtMatmulAlgoConfigAttributes_t as Configured, cublasLtMatmulHeuristicResult_t,
    cublasLtMatmulPreferenceAttributes_t as Preferred, cublasLtReductionScheme_t as Reduction,
};

use super::product::{Addresses, Descriptors, Owned};
use super::text::Algorithm;
use super::{Handle, NoPlanText, PlanText, Product, check, version};
use crate::cuda::{Arithmetic, CudaError};

/// Most bytes that a plan may want beside its operands: what the library's manual proposes for Hopper.
const WORKSPACE: usize = 32 << 20;
/// Algorithms that the heuristics are asked for.
const MOST_ALGORITHMS: usize = 16;

// Of cublasLtNumericalImplFlags_t, which the header has as macros.
const FMA: u64 = 1;
const TENSOR_CORES: u64 = 1 << 1;
const SUMS_IN_F32: u64 = 1 << 9;
const OF_BF16: u64 = 1 << 17;
const OF_TF32: u64 = 1 << 18;
const OF_F32: u64 = 1 << 19;

/// A product that can be executed, by one algorithm.
pub struct Plan {
    product: Product,
    descriptors: Descriptors,
    text: PlanText,
    workspace: usize,
}

/// The first algorithm that keeps the rules, in the order of the library's heuristics.
///
/// # Errors
/// If there is none, with the reason that spoke against the last.
pub fn choose(handle: &Handle, product: &Product) -> Result<Plan, CudaError> {
    let version = version()?.to_string();
    let mut why = String::from("the heuristics name none");
    for algorithm in named(handle, product)? {
        match Plan::new(handle, product, PlanText { version: version.clone(), algorithm }) {
            Ok(plan) => return Ok(plan),
            Err(error) => why = error.to_string(),
        }
    }
    Err(CudaError::NoAlgorithm { product: product.to_string(), why })
}

/// What the heuristics name, best first.
fn named(handle: &Handle, product: &Product) -> Result<Vec<Algorithm>, CudaError> {
    let Descriptors { matmul, first, second, out } = &Descriptors::new(product)?;
    let preference = preference(product)?;
    let mut results = [nothing(); MOST_ALGORITHMS];
    let mut count = 0;
    // SAFETY: handle and descriptors are alive; the call writes at most as many results as told, and their count.
    let done = unsafe {
        sys::cublasLtMatmulAlgoGetHeuristic(
            handle.raw,
            matmul.raw(),
            first.raw(),
            second.raw(),
            out.raw(),
            out.raw(),
            preference.raw(),
            MOST_ALGORITHMS as i32,
            results.as_mut_ptr(),
            &mut count,
        )
    };
    check("cublasLtMatmulAlgoGetHeuristic", done)?;
    let good = |result: &&cublasLtMatmulHeuristicResult_t| result.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS;
    let found = results.iter().take(usize::try_from(count).unwrap_or(0));
    Ok(found.filter(good).map(|result| result.algo.data).collect())
}

fn nothing() -> cublasLtMatmulHeuristicResult_t {
    cublasLtMatmulHeuristicResult_t {
        algo: cublasLtMatmulAlgo_t { data: Algorithm::default() },
        workspaceSize: 0,
        state: sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED,
        wavesCount: 0.0,
        reserved: [0; 4],
    }
}

/// The rules as the heuristics take them.
fn preference(product: &Product) -> Result<Owned<sys::cublasLtMatmulPreference_t>, CudaError> {
    let mut raw = null_mut();
    // SAFETY: the call overwrites a pointer.
    check("cublasLtMatmulPreferenceCreate", unsafe { sys::cublasLtMatmulPreferenceCreate(&mut raw) })?;
    // SAFETY: it was just made.
    let preference = unsafe { Owned::new(raw, sys::cublasLtMatmulPreferenceDestroy) };
    let alignment = product.alignment();
    for aligned in [
        Preferred::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        Preferred::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        Preferred::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        Preferred::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
    ] {
        prefer(&preference, aligned, alignment)?;
    }
    let reduction = Reduction::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
    prefer(&preference, Preferred::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reduction)?;
    prefer(&preference, Preferred::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, WORKSPACE)?;
    prefer(&preference, Preferred::CUBLASLT_MATMUL_PREF_IMPL_MASK, numbers(product.arithmetic))?;
    Ok(preference)
}

fn prefer<T>(preference: &Owned<sys::cublasLtMatmulPreference_t>, what: Preferred, value: T) -> Result<(), CudaError> {
    let bytes = size_of::<T>();
    // SAFETY: the preference is alive; as many bytes as told are read.
    let done =
        unsafe { sys::cublasLtMatmulPreferenceSetAttribute(preference.raw(), what, (&raw const value).cast(), bytes) };
    check("cublasLtMatmulPreferenceSetAttribute", done)
}

/// What an algorithm may compute with.
fn numbers(arithmetic: Arithmetic) -> u64 {
    let common = FMA | SUMS_IN_F32;
    match arithmetic {
        Arithmetic::F32 => common | OF_F32,
        Arithmetic::Tf32 => common | OF_F32 | OF_TF32 | TENSOR_CORES,
        Arithmetic::Bf16 => common | OF_BF16 | TENSOR_CORES,
    }
}

impl Plan {
    /// The plan that a text tells of, as [`Plan::text`] gives it, perhaps on another worker.
    ///
    /// # Errors
    /// If it is no such text, of another version, or of an algorithm that can't compute the product or breaks a rule.
    pub fn from_text(handle: &Handle, product: &Product, text: &str) -> Result<Self, CudaError> {
        let bad = |why: String| CudaError::BadPlan { text: text.chars().take(200).collect(), why };
        let told: PlanText = text.parse().map_err(|error: NoPlanText| bad(error.to_string()))?;
        let version = version()?.to_string();
        if told.version != version {
            return Err(bad(format!("this is cuBLASLt {version}")));
        }
        Self::new(handle, product, told).map_err(|error| bad(error.to_string()))
    }

    fn new(handle: &Handle, product: &Product, text: PlanText) -> Result<Self, CudaError> {
        let descriptors = Descriptors::new(product)?;
        let Descriptors { matmul, first, second, out } = &descriptors;
        let algorithm = cublasLtMatmulAlgo_t { data: text.algorithm };
        let mut result = nothing();
        // SAFETY: handle and descriptors are alive; the call overwrites the result.
        let done = unsafe {
            sys::cublasLtMatmulAlgoCheck(
                handle.raw,
                matmul.raw(),
                first.raw(),
                second.raw(),
                out.raw(),
                out.raw(),
                &algorithm,
                &mut result,
            )
        };
        check("cublasLtMatmulAlgoCheck", done)?;
        keeps_order(&algorithm)?;
        keeps_numbers(&algorithm, product.arithmetic)?;
        match result.workspaceSize {
            workspace @ ..=WORKSPACE => Ok(Self { product: *product, descriptors, text, workspace }),
            workspace => Err(refused(format!("it wants {workspace} bytes of workspace"))),
        }
    }

    /// The algorithm: what other workers need to make the same plan.
    pub fn text(&self) -> &PlanText {
        &self.text
    }

    /// Bytes that it wants beside its operands.
    pub fn workspace(&self) -> usize {
        self.workspace
    }

    /// Starts it on the handle's stream. `workspace`: the address of as many bytes as it wants.
    ///
    /// # Safety
    /// All addresses are of the GPU's memory, as long as the sizes say, until the stream has come so far.
    pub unsafe fn execute(&mut self, handle: &Handle, at: Addresses, workspace: u64) -> Result<(), CudaError> {
        if self.product.bias {
            self.descriptors.set_bias(at.bias)?;
        }
        let Descriptors { matmul, first, second, out } = &self.descriptors;
        let algorithm = cublasLtMatmulAlgo_t { data: self.text.algorithm };
        let (one, zero) = (1f32, 0f32);
        let pointer = |address: u64| address as *mut c_void;
        // SAFETY: handle, descriptors and stream are alive, both factors are read before the call returns; what the
        // addresses are of is the caller's promise.
        let done = unsafe {
            sys::cublasLtMatmul(
                handle.raw,
                matmul.raw(),
                (&raw const one).cast(),
                pointer(at.right),
                first.raw(),
                pointer(at.left),
                second.raw(),
                (&raw const zero).cast(),
                pointer(at.out),
                out.raw(),
                pointer(at.out),
                out.raw(),
                &algorithm,
                pointer(workspace),
                self.workspace,
                handle.stream.handle().cast(),
            )
        };
        check("cublasLtMatmul", done)
    }
}

/// Parts of sums are added by a second step or not at all, never by whichever comes first.
fn keeps_order(algorithm: &cublasLtMatmulAlgo_t) -> Result<(), CudaError> {
    let what = Configured::CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME;
    let (mut scheme, mut written) = (0u32, 0);
    let (to, bytes) = ((&raw mut scheme).cast(), size_of::<u32>());
    // SAFETY: the call writes at most as many bytes as told, and their count.
    let done = unsafe { sys::cublasLtMatmulAlgoConfigGetAttribute(algorithm, what, to, bytes, &mut written) };
    check("cublasLtMatmulAlgoConfigGetAttribute", done)?;
    let known = [Reduction::CUBLASLT_REDUCTION_SCHEME_NONE, Reduction::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE];
    if known.iter().any(|known| *known as u32 == scheme) {
        return Ok(());
    }
    Err(refused(format!("it adds by scheme {scheme}")))
}

fn keeps_numbers(algorithm: &cublasLtMatmulAlgo_t, arithmetic: Arithmetic) -> Result<(), CudaError> {
    let what = Capability::CUBLASLT_ALGO_CAP_NUMERICAL_IMPL_FLAGS;
    let (mut flags, mut written) = (0u64, 0);
    let (to, bytes) = ((&raw mut flags).cast(), size_of::<u64>());
    // SAFETY: the call writes at most as many bytes as told, and their count.
    let done = unsafe { sys::cublasLtMatmulAlgoCapGetAttribute(algorithm, what, to, bytes, &mut written) };
    check("cublasLtMatmulAlgoCapGetAttribute", done)?;
    match flags & !numbers(arithmetic) {
        0 => Ok(()),
        other => Err(refused(format!("it computes in other numbers: flags {other:#x}"))),
    }
}

fn refused(text: String) -> CudaError {
    CudaError::library("cuBLASLt", "choosing an algorithm", text)
}
