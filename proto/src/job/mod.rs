//! The job file: what a run is, as people write it and as processes pass it on.

mod spec;

pub use spec::*;
