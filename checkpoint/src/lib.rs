//! A job's state on disk or in a bucket: whole or absent.
//!
//! On a sample's path this crate is the last hop: the trainer hands a [`Snapshot`] of the committed state to the
//! [`Writer`], whose thread writes it to a [`Place`]; a worker that starts finds the newest valid one there. It knows
//! nothing of networks between workers, and nothing of training.
//!
//! A checkpoint is a folder of two files. `state.safetensors` holds the tensors and nothing else. `checkpoint.json`
//! says what state it is ([`About`]) and holds size and BLAKE3 of the other; it is written last. A folder of files
//! appears by a rename, so that a checkpoint is never half there, whenever the power goes.

mod about;
mod error;
mod fault;
mod manifest;
mod name;
mod newest;
mod place;
mod snapshot;
mod state_file;
mod store;
mod writer;

pub use about::{About, Fingerprint, Wanted};
pub use error::Error;
pub use name::Name;
pub use newest::Found;
pub use place::{Place, Written};
pub use snapshot::{Snapshot, Tensor};
pub use writer::{Outcome, Priority, RETRY, Writer};
