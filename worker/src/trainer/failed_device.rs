//! A device that has failed gives nothing that could be taken for a state.

use lockstep_checkpoint::About;
use lockstep_kernels::cuda::Cuda;
use lockstep_kernels::device::Memory;
use lockstep_proto::job;

use super::emulated_gpu;
use super::optimizer::kept;
use super::share;
use super::snapshot::snapshot;
use super::state::{Sizes, State};
use crate::layers::{Role, TensorShape};
use crate::model::Tensor;

#[test]
fn nothing_is_read_of_it() {
    emulated_gpu::alone(check);
}

fn check(mut device: Cuda) {
    let shape = TensorShape::new("fc", "bias", vec![5], Role::Bias { fan_in: 5, plane: false });
    let tensors = [Tensor { shape, range: 0..5 }];
    let sizes = Sizes { parameters: 5, statistics: 0 };
    let state = State::new(&mut device, kept(&job::Optimizer::default()), sizes, 1, &[1.0; 5]);
    let leaves = |device: &mut Cuda| {
        [
            state.digests(device, &tensors).is_ok(),
            snapshot(&state, device, &tensors, &About::default()).is_ok(),
            share::pack(&state, device, &tensors, Vec::new()).is_ok(),
        ]
    };
    assert_eq!(leaves(&mut device), [true; 3]);
    // More than any GPU has.
    drop(device.zeros::<f32>(1 << 45));
    assert!(device.health().is_err_and(|failure| failure.0.contains("out of GPU memory")));
    assert_eq!(leaves(&mut device), [false; 3]);
}
