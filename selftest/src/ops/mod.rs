//! The ops, family by family.

mod activations;
mod additions;
mod concatenation;
mod linear;
mod local_response_norm;
mod poolings;
mod radial_basis;
mod subsampling;

use lockstep_kernels::activation::Activate;
use lockstep_kernels::addition::Addition;
use lockstep_kernels::concatenate::Concatenate;
use lockstep_kernels::linear::Linear;
use lockstep_kernels::local_response_norm::LocalResponseNorm;
use lockstep_kernels::pool2d::Pool2d;
use lockstep_kernels::radial_basis::RadialBasis;
use lockstep_kernels::subsample2d::Subsample2d;

use crate::Bench;

/// Goes through all ops of a device.
pub fn all<D>(bench: &mut Bench<'_, D>)
where
    D: Linear + Addition + Pool2d + Subsample2d + LocalResponseNorm + RadialBasis + Concatenate + Activate,
{
    linear::linear(bench);
    additions::additions(bench);
    poolings::poolings(bench);
    subsampling::subsampling(bench);
    local_response_norm::local_response_norm(bench);
    radial_basis::radial_basis(bench);
    concatenation::concatenation(bench);
    activations::activations(bench);
}
