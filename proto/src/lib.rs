//! The words that all processes share: messages on the wire, checked types, and the job file.
//!
//! On a control message's path this crate is each hop's envelope. Wire types ([`wire`]) stop at the edge of a
//! process; behind it only checked types exist, built by `TryFrom`.

pub mod gpu;
pub mod identity;
pub mod job;
pub mod ledger;
pub mod plans;
pub mod report;
pub mod slot;

/// The version that agents, workers and clients must have in common.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The words of the error at the bottom, which say what happened ("Connection refused (os error 111)") where the outer
/// ones say only "transport error".
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Generated messages, clients and servers.
pub mod wire {
    #![allow(missing_docs, clippy::all)]
    tonic::include_proto!("lockstep.v1");
}
