//! The ops, family by family.

mod additions;
mod linear;

use lockstep_kernels::addition::Addition;
use lockstep_kernels::linear::Linear;

use crate::Bench;

/// Goes through all ops of a device.
pub fn all<D: Linear + Addition>(bench: &mut Bench<'_, D>) {
    linear::linear(bench);
    additions::additions(bench);
}
