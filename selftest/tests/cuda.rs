//! Every op of the CUDA device: the kernels' sources and the host's code as they are, over an emulated driver.

use lockstep_emulation::{Error, libraries};
use lockstep_kernels::cuda::{Cuda, Places};
use lockstep_selftest::{Bench, ops};

/// A device, or none with the reason said.
fn device() -> Option<Cuda> {
    match libraries() {
        Ok(folder) => {
            Places { libraries: vec![folder], cache: None }.set();
            Some(Cuda::new(0).unwrap_or_else(|error| panic!("{error}")))
        }
        Err(Error::NoCompiler) => {
            println!("{}", Error::NoCompiler);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_op_is_within_its_bound() {
    let Some(mut device) = device() else { return };
    let mut bench = Bench::new(&mut device);
    ops::all(&mut bench);
    let wrong: Vec<_> = bench.checks.iter().filter(|check| !check.passed()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    device.finish().unwrap_or_else(|error| panic!("{error}"));
}
