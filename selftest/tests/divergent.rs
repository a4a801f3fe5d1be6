//! The test of the test: one thread leaves a barrier out, and the emulated GPU says so.

use lockstep_emulation::{device, libraries_with};
use lockstep_selftest::{Bench, ops};

#[test]
fn a_barrier_that_not_all_threads_come_to_is_an_error() {
    let (with, without) = (
        "    of_b.put(columns);\n    __syncthreads();",
        "    of_b.put(columns);\n    if (threadIdx.x != 7) __syncthreads();",
    );
    let Some(mut device) = device(libraries_with("linear/linear.cu", with, without)) else { return };
    ops::linear(&mut Bench::new(&mut device));
    let failed = device.finish().expect_err("a failure");
    assert!(failed.to_string().contains("CUDA_ERROR_LAUNCH_FAILED"), "{failed}");
}
