//! What members do together, as they compare it before they believe each other's numbers.

use std::net::SocketAddr;

use crate::Error;

/// Which reduction or broadcast this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Step of the job.
    pub step: u64,
    /// Pass within the step: 0 for the first, and so on.
    pub pass: u32,
}

/// What is reduced, or a broadcast.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gradient = 1,
    Tally = 2,
    Broadcast = 3,
}

/// Words of a header.
pub(crate) const HEADER: usize = 5;

/// Everything that must agree, as words. `number` is that of lanes, or the rank that a broadcast comes from.
pub(crate) fn header(generation: u64, tag: Tag, kind: Kind, number: u32) -> [u64; HEADER] {
    [generation, tag.step, u64::from(tag.pass), u64::from(number), kind as u64]
}

/// Whether the member with this rank and address does what this worker does.
pub(crate) fn check((rank, address): (u32, SocketAddr), ours: &[u64; HEADER], theirs: &[u64]) -> Result<(), Error> {
    if theirs == ours {
        return Ok(());
    }
    Err(Error::Desync { rank, address, theirs: describe(theirs), ours: describe(ours) })
}

fn describe(header: &[u64]) -> String {
    let (number, kind) = (header[3], header[4]);
    let place = format!("generation {} step {} pass {}", header[0], header[1], header[2]);
    match kind {
        _ if kind == Kind::Gradient as u64 => format!("gradients of {place} with {number} lanes"),
        _ if kind == Kind::Tally as u64 => format!("tallies of {place} with {number} lanes"),
        _ if kind == Kind::Broadcast as u64 => format!("the broadcast of {place} from rank {number}"),
        _ => "something that it has not announced".into(),
    }
}
