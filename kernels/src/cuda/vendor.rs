//! What a device uses of NVIDIA's own kernels, and the plans that it has for them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::cublaslt::{self, Product};
use super::cudnn::{self, Convolution, Operand, Target};
use super::scratch::{Part, Scratch};
use super::stream::Stream;
use super::{Arithmetic, Cuda, CudaError, View, ViewMut};
use crate::plans::Dealt;
use crate::repeat::Repeated;

/// Whose kernels compute large convolutions and matrix products. The results are not the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Libraries {
    /// This crate's.
    #[default]
    Own,
    /// cuDNN's and cuBLASLt's, each where it is there.
    Auto,
}

/// Words of which a factor's place in memory is a multiple, for tensor cores.
const ALIGNED: usize = 4;

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
pub(crate) enum Work {
    /// By cuDNN.
    Convolution(Convolution),
    /// By cuBLASLt.
    Product(Product),
}

/// As people read it.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Convolution(convolution) => write!(f, "the convolution {convolution}"),
            Self::Product(product) => write!(f, "the product {product}"),
        }
    }
}

impl Work {
    /// Its plan as it was dealt, or else chosen where that is allowed.
    fn make<P>(
        self,
        dealt: &Dealt,
        of_text: impl FnOnce(&str) -> Result<P, CudaError>,
        choose: impl FnOnce() -> Result<P, CudaError>,
    ) -> Result<P, CudaError> {
        match dealt.text(&self)? {
            Some(text) => {
                of_text(text).map_err(|error| CudaError::UnfitPlan { work: self.to_string(), why: error.to_string() })
            }
            None => choose(),
        }
    }
}

/// Libraries and plans of a device.
#[derive(Default)]
pub(super) struct Vendor {
    dnn: Option<Dnn>,
    blas: Option<Blas>,
    dealt: Dealt,
    /// Their own: an op may have its operands in the device's scratch memory.
    workspace: Scratch,
}

struct Dnn {
    handle: cudnn::Handle,
    plans: HashMap<Convolution, cudnn::Plan>,
}

struct Blas {
    handle: cublaslt::Handle,
    plans: HashMap<Product, cublaslt::Plan>,
}

impl Vendor {
    /// # Errors
    /// If a library is there and can't be used.
    pub fn open(libraries: Libraries, stream: &Arc<Stream>) -> Result<Self, CudaError> {
        if libraries == Libraries::Own {
            return Ok(Self::default());
        }
        let dnn = if_there(cudnn::Handle::new(stream))?.map(|handle| Dnn { handle, plans: HashMap::new() });
        let blas = if_there(cublaslt::Handle::new(stream))?.map(|handle| Blas { handle, plans: HashMap::new() });
        Ok(Self { dnn, blas, ..Self::default() })
    }

    /// Address of the workspace as it is now.
    pub fn workspace(&self) -> u64 {
        self.workspace.address()
    }
}

fn if_there<T>(opened: Result<T, CudaError>) -> Result<Option<T>, CudaError> {
    match opened {
        Ok(handle) => Ok(Some(handle)),
        Err(CudaError::NoLibrary { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The plan for this work; made if there is none yet.
fn planned<'p, W: Copy + Eq + Hash, P>(
    plans: &'p mut HashMap<W, P>,
    work: &W,
    make: impl FnOnce() -> Result<P, CudaError>,
) -> Result<&'p mut P, CudaError> {
    match plans.entry(*work) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(place) => Ok(place.insert(make()?)),
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
        let Self { vendor: Vendor { dnn: Some(Dnn { handle, plans }), dealt, workspace: own, .. }, stream, .. } = self
        else {
            return;
        };
        if stream.is_idle() {
            return;
        }
        let (work, target) = (Work::Convolution(*convolution), Target::Gpu(handle));
        let of_text = |text: &str| cudnn::Plan::from_text(target, convolution, text);
        let make = || work.make(dealt, of_text, || cudnn::choose(target, convolution));
        let Some(plan) = stream.gpu().attempt(|| planned(plans, convolution, make)) else { return };
        let workspace = workspace(own, stream, plan.workspace(), "cuDNN");
        // SAFETY: views are as long as the op has checked, and the workspace as the plan wants; all of it is given back
        // behind what the stream was asked for before.
        stream.start("cuDNN", || unsafe { plan.execute(handle, operands, workspace) });
    }

    /// Starts cuBLASLt on a product. `at`: views as long as the product says.
    pub(crate) fn multiply(&mut self, product: &Product, at: cublaslt::Addresses) {
        let Self { vendor: Vendor { blas: Some(Blas { handle, plans }), dealt, workspace: own, .. }, stream, .. } =
            self
        else {
            return;
        };
        if stream.is_idle() {
            return;
        }
        let work = Work::Product(*product);
        let of_text = |text: &str| cublaslt::Plan::from_text(handle, product, text);
        let make = || work.make(dealt, of_text, || cublaslt::choose(handle, product));
        let Some(plan) = stream.gpu().attempt(|| planned(plans, product, make)) else { return };
        let workspace = workspace(own, stream, plan.workspace(), "cuBLASLt");
        // SAFETY: as above.
        stream.start("cuBLASLt", || unsafe { plan.execute(handle, at, workspace) });
    }

    /// f32 tensors as a library takes them in the device's numbers: as they are, or copied to scratch memory, behind
    /// `ahead` words of it for the op itself. Gives those words and where the tensors are.
    #[track_caller]
    pub(crate) fn as_factors<const N: usize>(&mut self, ahead: usize, tensors: [View<'_, f32>; N]) -> (Part, [u64; N]) {
        let arithmetic = self.arithmetic();
        let words = |tensor: &View<'_, f32>| arithmetic.words_of_copy(tensor.len()).next_multiple_of(ALIGNED);
        let first = ahead.next_multiple_of(ALIGNED);
        let (own, mut rest) = self.scratch(first + tensors.iter().map(words).sum::<usize>()).split(first);
        let places = tensors.map(|tensor| {
            let (part, behind) = rest.split(words(&tensor));
            rest = behind;
            match arithmetic {
                Arithmetic::F32 => return tensor.address(),
                Arithmetic::Tf32 => self.stream.copy(tensor.address(), part.address(), 4 * tensor.len()),
                Arithmetic::Bf16 => self.narrow(tensor.into(), part.into(), tensor.len()),
            }
            part.address()
        });
        (own, places)
    }

    /// Has a library write a tensor's gradient in the device's numbers, at an address for which `write` asks with so many
    /// words of scratch memory, and takes it from there.
    #[track_caller]
    pub(crate) fn gradient_of_factor(
        &mut self,
        ahead: usize,
        gradient: ViewMut<'_, f32>,
        write: impl FnOnce(&mut Self, Part, u64),
    ) {
        let first = ahead.next_multiple_of(ALIGNED);
        let words = self.arithmetic().words_of_copy(gradient.len());
        let (own, part) = self.scratch(first + words).split(first);
        match self.arithmetic() {
            Arithmetic::F32 => write(self, own, gradient.address()),
            Arithmetic::Tf32 => {
                write(self, own, part.address());
                self.stream.copy(part.address(), gradient.address(), 4 * gradient.len());
            }
            Arithmetic::Bf16 => {
                write(self, own, part.address());
                self.widen(part.into(), (&gradient).into(), gradient.len());
            }
        }
    }

    /// The plans that this device has made, in words.
    pub(crate) fn plans(&self) -> Vec<(Work, String)> {
        let dnn = self.vendor.dnn.iter().flat_map(|dnn| &dnn.plans);
        let blas = self.vendor.blas.iter().flat_map(|blas| &blas.plans);
        let convolutions = dnn.map(|(work, plan)| (Work::Convolution(*work), plan.text().to_string()));
        convolutions.chain(blas.map(|(work, plan)| (Work::Product(*work), plan.text().to_string()))).collect()
    }

    /// Goes by what was dealt from here on: of the plans that it has made, those remain that are as dealt.
    pub(crate) fn deal(&mut self, dealt: Dealt) {
        // What they were started for is done before they go, and what would start them again goes with them.
        self.stream.finish();
        self.repeated = Repeated::default();
        let Vendor { dnn, blas, .. } = &mut self.vendor;
        if let Some(Dnn { plans, .. }) = dnn {
            plans.retain(|work, plan| dealt.has(&Work::Convolution(*work), &plan.text().to_string()));
        }
        if let Some(Blas { plans, .. }) = blas {
            plans.retain(|work, plan| dealt.has(&Work::Product(*work), &plan.text().to_string()));
        }
        self.vendor.dealt = dealt;
    }
}
