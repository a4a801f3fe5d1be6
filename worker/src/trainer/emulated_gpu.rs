//! The one emulated GPU of a test process, for one test at a time: what it fails in and waits for is seen by all devices
//! that share it.

use std::sync::{Mutex, PoisonError};

use lockstep_emulation::{device, libraries};
use lockstep_kernels::cuda::Cuda;

static ALONE: Mutex<()> = Mutex::new(());

/// Runs `test` on it, unless it can't be built here.
pub(super) fn alone(test: impl FnOnce(Cuda)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = device(libraries()) {
        test(device);
    }
}
