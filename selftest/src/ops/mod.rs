//! The ops, family by family.

mod additions;
mod averages;
mod folds;
mod linear;
mod losses;
mod optimizers;

use lockstep_kernels::addition::Addition;
use lockstep_kernels::fold::Fold;
use lockstep_kernels::linear::Linear;
use lockstep_kernels::moving_average::MovingAverage;
use lockstep_kernels::optimizer::Optimize;
use lockstep_kernels::perturb::Perturb;

use crate::Bench;
use losses::Losses;

/// Goes through all ops of a device.
pub fn all<D: Linear + Addition + Losses + Optimize + MovingAverage + Perturb + Fold>(bench: &mut Bench<'_, D>) {
    linear::linear(bench);
    additions::additions(bench);
    losses::losses(bench);
    optimizers::optimizers(bench);
    averages::averages(bench);
    folds::folds(bench);
}
