//! Every op of the CUDA device: the kernels' sources and the host's code as they are, over an emulated driver.

use lockstep_emulation::{device, libraries};
use lockstep_selftest::{Bench, ops};

#[test]
fn every_op_is_within_its_bound() {
    let Some(mut device) = device(libraries()) else { return };
    let mut bench = Bench::new(&mut device);
    ops::all(&mut bench);
    let wrong: Vec<_> = bench.checks.iter().filter(|check| !check.passed()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    device.finish().unwrap_or_else(|error| panic!("{error}"));
}
