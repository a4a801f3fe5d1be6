//! The ops, family by family. What is checked of one lies in its folder of `kernels`, beside what it checks.

#[path = "../../../kernels/src/activation/selftest.rs"]
mod activations;
#[path = "../../../kernels/src/addition/selftest.rs"]
mod additions;
#[path = "../../../kernels/src/moving_average/selftest.rs"]
mod averages;
#[path = "../../../kernels/src/batch_norm/selftest.rs"]
mod batch_norm;
#[path = "../../../kernels/src/concatenate/selftest.rs"]
mod concatenation;
#[path = "../../../kernels/src/conv2d/selftest.rs"]
mod convolutions;
#[path = "../../../kernels/src/conv2d_max_pool2d/selftest.rs"]
mod convolutions_and_poolings;
#[path = "../../../kernels/src/curvature/selftest.rs"]
mod curvature;
#[path = "../../../kernels/src/dropout/selftest.rs"]
mod dropout;
#[path = "../../../kernels/src/fold/selftest.rs"]
mod folds;
#[path = "../../../kernels/src/group_norm/selftest.rs"]
mod group_norm;
#[path = "../../../kernels/src/linear/selftest.rs"]
mod linear;
#[path = "../../../kernels/src/local_response_norm/selftest.rs"]
pub mod local_response_norm;
#[path = "../../../kernels/src/cross_entropy/selftest.rs"]
mod losses;
#[path = "../../../kernels/src/optimizer/selftest.rs"]
mod optimizers;
#[path = "../../../kernels/src/pixels/selftest.rs"]
mod pixels;
#[path = "../../../kernels/src/pool2d/selftest.rs"]
pub mod poolings;
#[path = "../../../kernels/src/radial_basis/selftest.rs"]
mod radial_basis;
#[path = "../../../kernels/src/perturb/selftest.rs"]
mod steps_up;
#[path = "../../../kernels/src/subsample2d/selftest.rs"]
mod subsampling;
#[path = "../../../kernels/src/tangent/selftest.rs"]
mod tangents;

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
        steps_up::steps_up(bench);
        folds::folds(bench);
    }
}

fn of_activations<D: Device>(bench: &mut Bench<'_, D>) {
    pixels::pixels(bench);
    linear(bench);
    convolutions::conv2d(bench);
    convolutions_and_poolings::conv2d_max_pool2d(bench);
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
    tangents::tangents(bench);
}
