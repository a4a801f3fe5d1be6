//! The job file: what a run is, as people write it and as processes pass it on.
//!
//! `spec` has the tables and keys. `load` reads what people write, in layers; `text` what processes pass on.
//! Both go through `read` (keys and types) and `validate` (values), so that a [`Job`] that exists can be run.

mod compare;
mod error;
mod fork;
mod layer;
mod load;
mod nearest;
mod read;
mod spec;
mod text;
mod validate;

pub use compare::KeyDifference;
pub use error::JobError;
pub use fork::{ForkError, ForkPoint};
pub use layer::{parse_table, text_of_file};
pub use load::{Layers, environment};
pub use nearest::nearest_word;
pub use read::read_table;
pub use spec::*;
pub use text::{MAX_JOB_BYTES, is_means};

#[cfg(test)]
mod tests;
