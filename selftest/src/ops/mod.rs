//! The ops, family by family.

mod activations;
mod additions;
mod averages;
mod batch_norm;
mod concatenation;
mod convolutions;
mod curvature;
mod dropout;
mod folds;
mod group_norm;
mod linear;
pub mod local_response_norm;
mod losses;
mod optimizers;
mod pixels;
pub mod poolings;
mod radial_basis;
mod subsampling;

use lockstep_kernels::device::{Device, Precision};

use crate::Bench;

pub use linear::linear;

/// Goes through all ops of a device: those that take activations, then those of vectors, which are the same whatever
/// activations are and have to be looked at where those are f32.
pub fn all<D: Device>(bench: &mut Bench<'_, D>) {
    of_activations(bench);
    if bench.device.precision() == Precision::F32 {
        curvature::curvature(bench);
        optimizers::optimizers(bench);
        averages::averages(bench);
        folds::folds(bench);
    }
}

fn of_activations<D: Device>(bench: &mut Bench<'_, D>) {
    pixels::pixels(bench);
    linear(bench);
    convolutions::conv2d(bench);
    convolutions::conv2d_max_pool2d(bench);
    poolings::poolings(bench);
    subsampling::subsampling(bench);
    activations::activations(bench);
    batch_norm::batch_norm(bench);
    group_norm::group_norm(bench);
    local_response_norm::local_response_norm(bench);
    dropout::dropout(bench);
    additions::additions(bench);
    concatenation::concatenation(bench);
    radial_basis::radial_basis(bench);
    losses::losses(bench);
}
