//! What a device uses of NVIDIA's own kernels, and the plans that it has for them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use super::cublaslt::{self, Product};
use super::cudnn::{self, Convolution, Operand, Target};
use super::scratch::Scratch;
use super::stream::Stream;
use super::{Cuda, CudaError};

/// Whose kernels compute large convolutions and matrix products. The results are not the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Libraries {
    /// This crate's.
    #[default]
    Own,
    /// cuDNN's and cuBLASLt's, each where it is there.
    Auto,
}

/// Multiplications from which on a library is asked: the work of about 10 µs on a large GPU, some ten times what it
/// takes to start a kernel.
const LARGE: usize = 1 << 28;

/// Whether so many multiplications are worth a library's call.
pub(crate) fn is_large(multiplications: usize) -> bool {
    multiplications >= LARGE
}

/// The libraries that were found and can be used, with their versions: `cuDNN 9.21.1, cuBLASLt 13.0.2`. Empty without.
pub fn libraries_found() -> String {
    let dnn = cudnn::version().map(|version| format!("cuDNN {version}"));
    let blas = cublaslt::version().map(|version| format!("cuBLASLt {version}"));
    [dnn, blas].into_iter().filter_map(Result::ok).collect::<Vec<_>>().join(", ")
}

/// What a library computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// By cuDNN.
    Convolution(Convolution),
    /// By cuBLASLt.
    Product(Product),
}

/// Libraries and plans of a device.
#[derive(Default)]
pub(super) struct Vendor {
    dnn: Option<Dnn>,
    blas: Option<Blas>,
}

struct Dnn {
    handle: cudnn::Handle,
    plans: HashMap<Convolution, cudnn::Plan>,
}

struct Blas {
    handle: cublaslt::Handle,
    plans: HashMap<Product, cublaslt::Plan>,
    /// Its own: an op may have its operands in the device's scratch memory.
    workspace: Scratch,
}

impl Vendor {
    /// # Errors
    /// If a library is there and can't be used.
    pub fn open(libraries: Libraries, stream: &Arc<Stream>) -> Result<Self, CudaError> {
        if libraries == Libraries::Own {
            return Ok(Self::default());
        }
        let dnn = if_there(cudnn::Handle::new(stream))?.map(|handle| Dnn { handle, plans: HashMap::new() });
        let blas = if_there(cublaslt::Handle::new(stream))?.map(|handle| Blas {
            handle,
            plans: HashMap::new(),
            workspace: Scratch::default(),
        });
        Ok(Self { dnn, blas })
    }
}

fn if_there<T>(opened: Result<T, CudaError>) -> Result<Option<T>, CudaError> {
    match opened {
        Ok(handle) => Ok(Some(handle)),
        Err(CudaError::NoLibrary { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The plan for this work; chosen if there is none yet.
fn planned<'p, W: Copy + Eq + Hash, P>(
    plans: &'p mut HashMap<W, P>,
    work: &W,
    choose: impl FnOnce() -> Result<P, CudaError>,
) -> Result<&'p mut P, CudaError> {
    match plans.entry(*work) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(place) => Ok(place.insert(choose()?)),
    }
}

/// Bytes of scratch memory, by address.
fn workspace(scratch: &mut Scratch, stream: &Stream, bytes: usize, library: &str) -> u64 {
    scratch.words(stream, bytes.div_ceil(4), || library.to_owned()).address()
}

impl Cuda {
    pub(crate) fn has_dnn(&self) -> bool {
        self.vendor.dnn.is_some()
    }

    pub(crate) fn has_blas(&self) -> bool {
        self.vendor.blas.is_some()
    }

    /// Starts cuDNN on a convolution. `operands`: views as long as the convolution says.
    pub(crate) fn convolve(&mut self, convolution: &Convolution, operands: &[(Operand, u64)]) {
        let Self { vendor: Vendor { dnn: Some(Dnn { handle, plans }), .. }, stream, scratch, .. } = self else {
            return;
        };
        let choose = || cudnn::choose(Target::Gpu(handle), convolution);
        let Some(plan) = stream.gpu().attempt(|| planned(plans, convolution, choose)) else { return };
        let workspace = workspace(scratch, stream, plan.workspace(), "cuDNN");
        // SAFETY: views are as long as the op has checked, and scratch memory as the plan wants; all of it is given back
        // behind what the stream was asked for before.
        stream.start("cuDNN", || unsafe { plan.execute(handle, operands, workspace) });
    }

    /// Starts cuBLASLt on a product. `at`: views as long as the product says.
    pub(crate) fn multiply(&mut self, product: &Product, at: cublaslt::Addresses) {
        let Self { vendor: Vendor { blas: Some(Blas { handle, plans, workspace: own }), .. }, stream, .. } = self
        else {
            return;
        };
        let choose = || cublaslt::choose(handle, product);
        let Some(plan) = stream.gpu().attempt(|| planned(plans, product, choose)) else { return };
        let workspace = workspace(own, stream, plan.workspace(), "cuBLASLt");
        // SAFETY: as above.
        stream.start("cuBLASLt", || unsafe { plan.execute(handle, at, workspace) });
    }

    /// The plans that this device has, in words: what a worker tells others of its kind, for all to compute alike.
    pub fn plans(&self) -> Vec<(Work, String)> {
        let dnn = self.vendor.dnn.iter().flat_map(|dnn| &dnn.plans);
        let blas = self.vendor.blas.iter().flat_map(|blas| &blas.plans);
        let convolutions = dnn.map(|(work, plan)| (Work::Convolution(*work), plan.text().to_string()));
        convolutions.chain(blas.map(|(work, plan)| (Work::Product(*work), plan.text().to_string()))).collect()
    }

    /// Takes a plan that another device has chosen, as [`Cuda::plans`] tells it.
    ///
    /// # Errors
    /// [`CudaError::BadPlan`] if the text is none, or of another version of the library, or breaks a rule; if the device
    /// does not use the library.
    pub fn take_plan(&mut self, work: Work, text: &str) -> Result<(), CudaError> {
        let unused = || CudaError::BadPlan { text: text.into(), why: "this device does not use the library".into() };
        self.stream.gpu().enter()?;
        match work {
            Work::Convolution(convolution) => {
                let dnn = self.vendor.dnn.as_mut().ok_or_else(unused)?;
                let plan = cudnn::Plan::from_text(Target::Gpu(&dnn.handle), &convolution, text)?;
                dnn.plans.insert(convolution, plan);
            }
            Work::Product(product) => {
                let blas = self.vendor.blas.as_mut().ok_or_else(unused)?;
                let plan = cublaslt::Plan::from_text(&blas.handle, &product, text)?;
                blas.plans.insert(product, plan);
            }
        }
        Ok(())
    }
}
