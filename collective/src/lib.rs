//! The tree reduction: adds what lanes contribute, so that the result is the same bits for any number of
//! workers and threads.
//!
//! On a step's path this sits between the backward pass and the optimiser. Lane threads write the sums of
//! their maximal subtrees into memory that the node's workers share ([`Group::hands`]); [`Group::reduce`]
//! folds them in tree order, in the node through that memory and between nodes over TCP, and hands every
//! worker the same gradient and tally. [`Group::broadcast`] takes the same ways to hand everybody one
//! member's bytes. Where workers have GPUs, a [`DeviceGroup`] folds gradients along the same tree between them.

mod broadcast;
mod buckets;
mod connect;
mod conversation;
mod deal;
mod device_group;
mod endpoint;
mod error;
mod exchange;
mod group;
mod handshake;
mod layout;
mod membership;
mod pieces;
mod reduce;
mod rendezvous;
mod script;
mod stream;
mod tag;
mod tally;
pub mod tree;
mod vector;

pub use buckets::Buckets;
pub use deal::{Deal, Dealing, HandDeal};
pub use device_group::{DeviceGroup, Exchanging, Order};
pub use endpoint::Endpoint;
pub use error::Error;
pub use group::{Group, Hand, Reduced, Subtree};
pub use membership::{Member, Membership, Shape};
pub use pieces::Pieces;
pub use tag::Tag;
pub use tally::Tally;
