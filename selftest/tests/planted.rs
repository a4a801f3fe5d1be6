//! The test of the test: a barrier is taken out of a kernel, and the checks of its op see it.

use lockstep_emulation::{device, libraries_with};
use lockstep_selftest::{Bench, Check, ops};

#[test]
fn a_missing_barrier_is_found() {
    // Between the tile that was loaded and the product that reads it.
    let (with, without) = ("    of_b.put(columns);\n    __syncthreads();", "    of_b.put(columns);");
    let Some(mut device) = device(libraries_with("linear/linear.cu", with, without)) else { return };
    let mut bench = Bench::new(&mut device);
    ops::linear(&mut bench);
    let failed = bench.checks.iter().filter(|check| !check.passed()).count();
    assert!(failed > 0, "{} checks passed without the barrier", bench.checks.len());
    assert!(bench.checks.iter().any(Check::passed), "not everything is broken, or nothing ran at all");
}
