//! What can go wrong in a reduction or broadcast, naming who and what to do.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lockstep_kernels::exchange::Interrupted;
use lockstep_kernels::shared_memory::{Aborted, SharedMemoryError};

/// Why a group could not be made, or a reduction not be completed. The group is of no use afterwards:
/// drop it and join the next generation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The abort flag was set.
    #[error("the reduction was aborted")]
    Aborted,
    /// No listener could be made.
    #[error("cannot listen on {address}: {source}; is it an address of this machine?")]
    Bind {
        /// The address asked for.
        address: IpAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The membership contradicts itself.
    #[error("the membership of generation {generation} is invalid: {reason}")]
    Membership {
        /// Its generation.
        generation: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Some members did not prove to be there in time.
    #[error("generation {generation}: no connection within {budget:?} with {missing}; are they running and reachable?")]
    Missing {
        /// Generation that was being connected.
        generation: u64,
        /// Time that was allowed.
        budget: Duration,
        /// The first of them.
        rank: u32,
        /// Ranks and addresses, as text.
        missing: String,
    },
    /// A member's connection broke, or its process ended.
    #[error("lost rank {rank} at {address}: {source}; its worker has ended or its network failed")]
    Lost {
        /// Rank of the first worker of the node that was lost.
        rank: u32,
        /// Its address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// A member is in another reduction or broadcast than this worker.
    #[error("rank {rank} at {address} is at {theirs} while this worker is at {ours}; they took different decisions")]
    Desync {
        /// The other's rank.
        rank: u32,
        /// The other's address.
        address: SocketAddr,
        /// What it takes part in.
        theirs: String,
        /// What this worker takes part in.
        ours: String,
    },
    /// More lanes than the group was made for, or none.
    #[error("{lanes} lanes, but the group was made for 1 to {max_lanes}")]
    Lanes {
        /// Lanes asked for.
        lanes: u32,
        /// [`crate::Shape::max_lanes`].
        max_lanes: u32,
    },
    /// A broadcast from a rank that the generation does not have.
    #[error("a broadcast from rank {rank}, but the generation has {members} members")]
    Stranger {
        /// The rank asked for.
        rank: u32,
        /// Members of the generation.
        members: usize,
    },
    /// A broadcast's payload is longer than any that is believed; nobody takes it.
    #[error("a broadcast of {bytes} bytes from rank {rank}, but at most {limit} are taken")]
    TooLong {
        /// Where it would come from.
        rank: u32,
        /// Length that was announced.
        bytes: u64,
        /// The longest payload.
        limit: u64,
    },
    /// Devices could not meet, or their exchange has come to nothing.
    #[error("{0}")]
    Devices(String),
    /// The node's shared memory could not be had.
    #[error(transparent)]
    SharedMemory(#[from] SharedMemoryError),
    /// A system call on sockets failed for no peer's fault.
    #[error("cannot {call}: {source}")]
    System {
        /// What was tried.
        call: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl From<Aborted> for Error {
    fn from(_: Aborted) -> Self {
        Self::Aborted
    }
}

impl From<Interrupted> for Error {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Aborted => Self::Aborted,
            Interrupted::Lost(how) => Self::Devices(how),
        }
    }
}

/// For `map_err`: a failed call that is no peer's fault.
pub(crate) fn system<E: Into<io::Error>>(call: &'static str) -> impl Fn(E) -> Error {
    move |source| Error::System { call, source: source.into() }
}
