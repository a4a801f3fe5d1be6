//! Every op of a device against its formula in f64: the list that `lockstep selftest` goes through, and the tests.
//!
//! An op's value is held against the formula, its gradients against the formula's central differences, all within a
//! bound that is stated with it, and each is computed twice, to the same bits.

pub mod array;
pub mod check;
pub mod formulas;
pub mod numbers;
pub mod ops;
mod reference;

pub use check::{Bench, Check};
