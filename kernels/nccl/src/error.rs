//! What can go wrong with NCCL, each with what to do about it.

use std::time::Duration;

use crate::library::{NEWEST_MAJOR, OLDEST};

/// Why GPUs can't exchange what they hold, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NcclError {
    /// There is no library.
    #[error("NCCL (libnccl.so.2) was not found; install it, or name its folder in LOCKSTEP_CUDA_LIBRARIES")]
    Missing,
    /// It is of a version whose interface is not known.
    #[error("NCCL {found} was found; it must be {}.{} or newer, of the same major version", NEWEST_MAJOR, OLDEST % 10_000 / 100)]
    Version {
        /// As people write it.
        found: String,
    },
    /// It lacks a function that its version should have.
    #[error("the NCCL that was found has no function {0}; install NCCL anew")]
    Function(&'static str),
    /// A call failed, or what it had begun.
    #[error("NCCL failure in {call}: {text}{detail}; NCCL_DEBUG=INFO tells more")]
    Call {
        /// What was called.
        call: &'static str,
        /// What NCCL says of its code.
        text: String,
        /// What NCCL says of the circumstances, if anything, behind a colon.
        detail: String,
    },
    /// The generation is over.
    #[error("the exchange between GPUs was aborted")]
    Aborted,
    /// Other members did not come in time.
    #[error(
        "NCCL: {call} took more than {budget:?}; are all workers' GPUs and networks up? NCCL_DEBUG=INFO tells more"
    )]
    Late {
        /// What was called.
        call: &'static str,
        /// Time that was allowed.
        budget: Duration,
    },
}
