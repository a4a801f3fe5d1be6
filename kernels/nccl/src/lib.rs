//! NVIDIA's library for collectives between GPUs, as far as a generation of workers needs it.
//!
//! It is opened at run time ([`Nccl::of`]). A [`Communicator`] is one worker's part of one generation: no call
//! on it blocks, and a thread of its own gives it up once the generation's abort flag is set, so that what hangs on the
//! GPU comes to an end. Result codes are integers, since a library that is newer than this crate may have more of them.

mod communicator;
mod error;
mod library;
mod watchdog;

pub use communicator::{Calls, Communicator, Stream, Type};
pub use error::NcclError;
pub use library::{Nccl, UniqueId};
