//! What is compared: whose kernels compute what is large, and in which numbers.

use std::fmt;

use lockstep_kernels::cuda::{Arithmetic, Cuda, CudaError, Libraries, libraries_found};

/// One way to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernels {
    libraries: Libraries,
    pub arithmetic: Arithmetic,
    /// As people are told.
    pub whose: String,
}

impl Kernels {
    fn own(arithmetic: Arithmetic) -> Self {
        Self { libraries: Libraries::Own, arithmetic, whose: "own kernels".into() }
    }

    /// All that this machine has: own kernels first, those of libraries if there are any.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::own(Arithmetic::F32), Self::own(Arithmetic::Bf16)];
        let found = libraries_found();
        if !found.is_empty() {
            let of = |arithmetic| Self { libraries: Libraries::Auto, arithmetic, whose: found.clone() };
            all.extend([Arithmetic::F32, Arithmetic::Tf32, Arithmetic::Bf16].map(of));
        }
        all
    }

    /// Whether a library computes what is large. All else is computed by own kernels then too.
    pub fn are_of_libraries(&self) -> bool {
        self.libraries != Libraries::Own
    }

    /// A GPU that computes so.
    ///
    /// # Errors
    /// If it can't be used.
    pub fn open(&self, index: usize) -> Result<Cuda, CudaError> {
        Cuda::open(index, self.libraries, self.arithmetic)
    }
}

#[cfg(test)]
impl Kernels {
    /// Some of this name.
    pub fn named(whose: &str, arithmetic: Arithmetic) -> Self {
        Self { whose: whose.into(), ..Self::own(arithmetic) }
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.whose, self.arithmetic)
    }
}
