//! Local response normalisation against the plain f64 formula and its finite differences.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::local_response_norm::{LocalResponseNorm, LocalResponseNormSize};

use crate::layout::{assert_close, assert_padding_is_zero, devices, numbers, to_activation, to_rows, unwritten, wide};
use crate::{bits, reference};

/// y and d_x.
pub fn both_passes(device: &mut Cpu, size: &LocalResponseNormSize, x: &[f32], d_y: &[f32]) -> [Vec<f32>; 2] {
    let features = size.channels * size.plane;
    let (x, d_y) = (to_activation(x, features, 3.0), to_activation(d_y, features, 0.0));
    let mut y = unwritten(device, size.samples, features);
    let mut d_x = unwritten(device, size.samples, features);
    device.local_response_norm_forward(size, &x, &mut y);
    device.local_response_norm_backward(size, &x, &d_y, &mut d_x);
    assert_padding_is_zero("d_x", &d_x, size.samples, features);
    [to_rows(&y, size.samples, features), to_rows(&d_x, size.samples, features)]
}

fn formula(size: &LocalResponseNormSize, x: &[f64]) -> Vec<f64> {
    let [alpha, beta, k] = [size.alpha, size.beta, size.k].map(f64::from);
    let (below, above) = (size.size / 2, (size.size - 1) / 2);
    let at = |i: usize| {
        let (channel, features) = (i / size.plane % size.channels, size.channels * size.plane);
        let of_channel = |c: usize| x[i / features * features + c * size.plane + i % size.plane];
        let channels = channel.saturating_sub(below)..=(channel + above).min(size.channels - 1);
        let squares: f64 = channels.map(|c| of_channel(c).powi(2)).sum();
        x[i] * (k + alpha / size.size as f64 * squares).powf(-beta)
    };
    (0..x.len()).map(at).collect()
}

/// Sizes of many kinds; the constants are strong, so that all terms show.
fn sizes() -> Vec<LocalResponseNormSize> {
    let constants = [(1.0, 0.75, 2.0), (4.0, 0.75, 1.0), (0.5, 1.3, 0.25), (2.0, 0.5, 3.0)];
    let shapes = [[1, 1, 1, 1], [2, 7, 3, 5], [17, 6, 2, 4], [1, 3, 33, 9], [3, 5, 16, 1]];
    let size = |([samples, channels, plane, size], (alpha, beta, k)): ([usize; 4], _)| LocalResponseNormSize {
        samples,
        channels,
        plane,
        size,
        alpha,
        beta,
        k,
    };
    shapes.into_iter().flat_map(|shape| constants.map(|constants| size((shape, constants)))).collect()
}

#[test]
fn values_and_gradients() {
    for size in sizes() {
        let len = size.samples * size.channels * size.plane;
        let (x, d_y) = (numbers(len, 1).iter().map(|x| 3.0 * x).collect::<Vec<_>>(), numbers(len, 2));
        let d_x = reference::gradient(&x, |x| reference::dot(&formula(&size, x), &d_y));
        for mut device in devices() {
            let results = both_passes(&mut device, &size, &x, &d_y);
            let name = format!("{size:?} {}", device.instruction_set());
            assert_close(&format!("{name} y"), &results[0], &formula(&size, &wide(&x)), 1e-6);
            assert_close(&format!("{name} d_x"), &results[1], &d_x, 1e-6);
        }
    }
}

/// Each output by itself, over many magnitudes: the power has its digits wherever it is.
#[test]
fn powers_are_accurate() {
    for (beta, bound) in [(0.75, 3e-7), (0.6, 1e-6), (1.0, 1e-6), (2.5, 4e-6)] {
        let size = LocalResponseNormSize { samples: 1, channels: 2000, plane: 1, size: 1, alpha: 1.0, beta, k: 1e-3 };
        let x: Vec<f32> = (0..2000).map(|i| 1.01f32.powi(i - 1000) * 1e-2).collect();
        let expected = formula(&size, &wide(&x));
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
    for size in sizes() {
        let x: Vec<f32> = numbers(size.samples * size.channels * size.plane, 1).iter().map(|x| x / 3.0).collect();
        bits::check(&format!("{size:?}"), |device| both_passes(device, &size, &x, &x).concat());
    }
}
