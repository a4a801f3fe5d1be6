//! The ops, family by family.

mod additions;
mod convolutions;
mod linear;

use lockstep_kernels::addition::Addition;
use lockstep_kernels::conv2d::Conv2d;
use lockstep_kernels::conv2d_max_pool2d::Conv2dMaxPool2d;
use lockstep_kernels::linear::Linear;

use crate::Bench;

/// Goes through all ops of a device.
pub fn all<D: Linear + Conv2d + Conv2dMaxPool2d + Addition>(bench: &mut Bench<'_, D>) {
    linear::linear(bench);
    convolutions::conv2d(bench);
    convolutions::conv2d_max_pool2d(bench);
    additions::additions(bench);
}
