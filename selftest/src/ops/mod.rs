//! The ops, family by family.

mod additions;
mod batch_norm;
mod curvature;
mod dropout;
mod group_norm;
mod linear;
mod pixels;

use lockstep_kernels::addition::Addition;
use lockstep_kernels::batch_norm::BatchNorm;
use lockstep_kernels::curvature::Curvature;
use lockstep_kernels::dropout::Dropout;
use lockstep_kernels::group_norm::GroupNorm;
use lockstep_kernels::linear::Linear;
use lockstep_kernels::pixels::Pixels;

use crate::Bench;

/// Goes through all ops of a device.
pub fn all<D>(bench: &mut Bench<'_, D>)
where
    D: Pixels + Linear + BatchNorm + GroupNorm + Dropout + Addition + Curvature,
{
    pixels::pixels(bench);
    linear::linear(bench);
    batch_norm::batch_norm(bench);
    group_norm::group_norm(bench);
    dropout::dropout(bench);
    additions::additions(bench);
    curvature::curvature(bench);
}
