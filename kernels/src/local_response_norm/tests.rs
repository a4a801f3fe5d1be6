//! Local response normalisation: accuracy of its power, bits.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::local_response_norm::{LocalResponseNorm, LocalResponseNormSize};

use crate::bits;
use crate::layout::{assert_padding_is_zero, devices, to_activation, to_rows, unwritten};
use lockstep_selftest::formulas;
use lockstep_selftest::numbers::{numbers, wide};
use lockstep_selftest::ops::local_response_norm::small_sizes;

/// y and d_x.
pub fn both_passes(device: &mut Cpu, size: &LocalResponseNormSize, x: &[f32], d_y: &[f32]) -> [Vec<f32>; 2] {
    let features = size.channels * size.plane;
    let (x, d_y) = (to_activation(device, x, features, 3.0), to_activation(device, d_y, features, 0.0));
    let mut y = unwritten(device, size.samples, features);
    let mut d_x = unwritten(device, size.samples, features);
    device.local_response_norm_forward(size, &x, &mut y);
    device.local_response_norm_backward(size, &x, &d_y, &mut d_x);
    assert_padding_is_zero(device, "d_x", &d_x, size.samples, features);
    [to_rows(device, &y, size.samples, features), to_rows(device, &d_x, size.samples, features)]
}

/// Each output by itself, over many magnitudes: the power has its digits wherever it is.
#[test]
fn powers_are_accurate() {
    for (beta, bound) in [(0.75, 3e-7), (0.6, 1e-6), (1.0, 1e-6), (2.5, 4e-6)] {
        let size = LocalResponseNormSize { samples: 1, channels: 2000, plane: 1, size: 1, alpha: 1.0, beta, k: 1e-3 };
        let x: Vec<f32> = (0..2000).map(|i| 1.01f32.powi(i - 1000) * 1e-2).collect();
        let expected = formulas::local_response_norm(&size, &wide(&x));
        for mut device in devices() {
            let [y, _] = both_passes(&mut device, &size, &x, &x);
            for (y, expected) in y.iter().zip(&expected) {
                let error = (f64::from(*y) - expected).abs() / expected;
                assert!(error <= bound, "β {beta}: {y} where {expected} is expected, relative error {error:.1e}");
            }
        }
    }
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    for size in small_sizes() {
        let x: Vec<f32> = numbers(size.samples * size.channels * size.plane, 1).iter().map(|x| x / 3.0).collect();
        bits::check(&format!("{size:?}"), |device| both_passes(device, &size, &x, &x).concat());
    }
}
