//! The ops, family by family.

mod activations;
mod additions;
mod averages;
mod concatenation;
mod folds;
mod linear;
mod local_response_norm;
mod losses;
mod optimizers;
mod poolings;
mod radial_basis;
mod subsampling;

use lockstep_kernels::device::Device;

use crate::Bench;

/// Goes through all ops of a device.
pub fn all<D: Device>(bench: &mut Bench<'_, D>) {
    linear::linear(bench);
    poolings::poolings(bench);
    subsampling::subsampling(bench);
    activations::activations(bench);
    local_response_norm::local_response_norm(bench);
    additions::additions(bench);
    concatenation::concatenation(bench);
    radial_basis::radial_basis(bench);
    losses::losses(bench);
    optimizers::optimizers(bench);
    averages::averages(bench);
    folds::folds(bench);
}
