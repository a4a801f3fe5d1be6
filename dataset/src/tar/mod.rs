//! tar files: what members one has and where, and writing shards.
//!
//! Samples are read by the places that a manifest has, so a tar is only gone through when a dataset is prepared. What may
//! come then is anybody's: everything is bounded, and what would not be read as its author meant is refused.

mod error;
mod members;
mod shard;

pub use error::{Problem, TarError};
pub use members::{Member, members};
pub use shard::{ShardWriter, Written};

#[cfg(test)]
mod tests;
