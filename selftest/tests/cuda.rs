//! Every op of the CUDA device: the kernels' sources and the host's code as they are, over an emulated driver.

use lockstep_emulation::{device, libraries};
use lockstep_kernels::cuda::{Arithmetic, Cuda, Libraries};
use lockstep_selftest::{Bench, ops};

#[test]
fn every_op_is_within_its_bound() {
    let Some(device) = device(libraries()) else { return };
    check(device);
}

/// Against the same formulas of what bf16 holds.
#[test]
fn every_op_of_bf16_activations_is_within_its_bound() {
    if device(libraries()).is_none() {
        return;
    }
    check(Cuda::open(1, Libraries::Own, Arithmetic::Bf16).unwrap_or_else(|error| panic!("{error}")));
}

fn check(mut device: Cuda) {
    let mut bench = Bench::new(&mut device);
    ops::all(&mut bench);
    let wrong: Vec<_> = bench.checks.iter().filter(|check| !check.passed()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    device.finish().unwrap_or_else(|error| panic!("{error}"));
}
