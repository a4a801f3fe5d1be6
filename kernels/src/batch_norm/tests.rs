//! Batch normalisation: its statistics, large means, evaluation, bits.

use lockstep_kernels::batch_norm::{
    BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize,
};
use lockstep_kernels::cpu::Cpu;

use crate::bits;
use crate::layout::{assert_close, assert_padding_is_zero, devices, to_activation, to_rows, unwritten};
use lockstep_selftest::formulas;
use lockstep_selftest::numbers::{numbers, wide};

/// Every value that both passes yield, activations as rows.
pub struct Results {
    pub y: Vec<f32>,
    pub moments: Vec<f32>,
    pub statistics: Vec<f32>,
    pub d_residual: Vec<f32>,
    pub d_x: Vec<f32>,
    pub d_weight: Vec<f32>,
    pub d_bias: Vec<f32>,
}

/// Rows that go in; a residual only if it is not empty.
pub struct Rows {
    pub x: Vec<f32>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub residual: Vec<f32>,
    pub d_y: Vec<f32>,
}

pub fn rows(size: &BatchNormSize, residual: bool) -> Rows {
    let len = size.samples * size.channels * size.plane;
    let residual = if residual { numbers(len, 4) } else { Vec::new() };
    let (weight, bias) = (numbers(size.channels, 2), numbers(size.channels, 3));
    Rows { x: numbers(len, 1), weight, bias, residual, d_y: numbers(len, 5) }
}

pub fn both_passes(device: &mut Cpu, size: &BatchNormSize, rows: &Rows) -> Results {
    let features = size.channels * size.plane;
    let x = to_activation(device, &rows.x, features, 3.0);
    let residual = to_activation(device, &rows.residual, features, 3.0);
    let (weight, bias) = (rows.weight.as_slice(), rows.bias.as_slice());
    let mut y = unwritten(device, size.samples, features);
    let (mut moments, mut statistics) = (vec![7.0; 2 * size.channels], vec![7.0; 2 * size.channels]);
    let residual = if rows.residual.is_empty() { None } else { Some(residual.as_slice()) };
    device.batch_norm_forward(
        size,
        BatchNormInput { x: &x, weight, bias, residual },
        BatchNormOutput { y: &mut y, moments: &mut moments, statistics: &mut statistics },
    );
    assert_padding_is_zero(device, "y", &y, size.samples, features);
    let mut d_y = to_activation(device, &rows.d_y, features, 0.0);
    let mut d_x = unwritten(device, size.samples, features);
    let (mut d_weight, mut d_bias) = (vec![7.0; size.channels], vec![7.0; size.channels]);
    device.batch_norm_backward(
        size,
        BatchNormSaved { x: &x, y: &y, weight, moments: &moments },
        BatchNormGradients { d_y: &mut d_y, d_x: &mut d_x, d_weight: &mut d_weight, d_bias: &mut d_bias },
    );
    assert_padding_is_zero(device, "d_x", &d_x, size.samples, features);
    assert_padding_is_zero(device, "d_y", &d_y, size.samples, features);
    let [y, d_residual, d_x] = [y, d_y, d_x].map(|activation| to_rows(device, &activation, size.samples, features));
    Results { y, moments, statistics, d_residual, d_x, d_weight, d_bias }
}

/// Value, then gradients of x, weight, bias and the residual, if there is one; of those and d_y.
pub fn value_and_gradients(device: &mut Cpu, size: &BatchNormSize, rows: &[Vec<f32>; 5]) -> [Vec<f32>; 5] {
    let [x, weight, bias, residual, d_y] = rows.clone();
    let results = both_passes(device, size, &Rows { x, weight, bias, residual, d_y });
    let d_residual = if rows[3].is_empty() { Vec::new() } else { results.d_residual };
    [results.y, results.d_x, results.d_weight, results.d_bias, d_residual]
}

#[test]
fn moments_and_statistics() {
    for [samples, channels, plane] in [[2, 1, 1], [1, 2, 3], [5, 3, 4], [16, 2, 5], [33, 1, 3], [2, 2, 70]] {
        let size = BatchNormSize { samples, channels, plane, epsilon: 1e-5, relu: true };
        let rows = rows(&size, true);
        let n = (samples * plane) as f64;
        let moments = formulas::batch_moments(&size, &wide(&rows.x));
        let inverse = |(_, variance): &(f64, f64)| 1.0 / (variance + f64::from(size.epsilon)).sqrt();
        let means = moments.iter().map(|(mean, _)| *mean);
        let expected: Vec<f64> = means.clone().chain(moments.iter().map(inverse)).collect();
        let unbiased = moments.iter().map(|(_, variance)| variance * n / (n - 1.0));
        let statistics: Vec<f64> = means.chain(unbiased).map(|value| samples as f64 * value).collect();
        for mut device in devices() {
            let results = both_passes(&mut device, &size, &rows);
            assert_close(&format!("{size:?} moments"), &results.moments, &expected, 1e-6);
            assert_close(&format!("{size:?} statistics"), &results.statistics, &statistics, 1e-6);
        }
    }
}

/// Its variance is 0, so the output is the bias, and nothing comes back.
#[test]
fn a_single_value() {
    let size = BatchNormSize { samples: 1, channels: 2, plane: 1, epsilon: 1e-5, relu: false };
    for mut device in devices() {
        let results = both_passes(&mut device, &size, &rows(&size, false));
        assert_eq!(results.y, numbers(2, 3));
        assert_eq!(results.statistics, [numbers(2, 1), vec![0.0; 2]].concat());
        assert_eq!(results.d_x, [0.0, 0.0]);
    }
}

/// The mean is 3,500 times the deviation, and there are 40,000 values.
#[test]
fn a_large_mean_costs_no_digits() {
    let size = BatchNormSize { samples: 40, channels: 2, plane: 1000, epsilon: 1e-9, relu: false };
    let mut rows = rows(&size, false);
    // Exact in f32: 10 bits before the point, 10 behind it.
    rows.x.iter_mut().for_each(|x| *x = 1000.0 - *x / 2.0);
    let x = wide(&rows.x);
    let y = formulas::batch_norm(&size, [&x, &wide(&rows.weight), &wide(&rows.bias), &[]], None);
    let moments = formulas::batch_moments(&size, &x);
    for mut device in devices() {
        let results = both_passes(&mut device, &size, &rows);
        assert_close("y", &results.y, &y, 1e-6);
        for channel in 0..2 {
            let (mean, variance) = moments[channel];
            let inverse = 1.0 / (variance + 1e-9).sqrt();
            assert_close("mean", &results.moments[channel..=channel], &[mean], 1e-7);
            assert_close("inverse", &results.moments[2 + channel..=2 + channel], &[inverse], 1e-7);
            let unbiased = 40.0 * variance * 40_000.0 / 39_999.0;
            assert_close("variance", &results.statistics[2 + channel..=2 + channel], &[unbiased], 1e-7);
        }
    }
}

#[test]
fn evaluation_takes_running_moments() {
    for (relu, residual) in [(false, false), (true, true)] {
        let size = BatchNormSize { samples: 19, channels: 3, plane: 5, epsilon: 1e-3, relu };
        let rows = rows(&size, residual);
        let running = [0.5, -0.25, 3.0, 0.5, 2.0, 0.0625];
        let moments = [(0.5, 0.5), (-0.25, 2.0), (3.0, 0.0625)];
        let (x, w, b, r) = (wide(&rows.x), wide(&rows.weight), wide(&rows.bias), wide(&rows.residual));
        let expected = formulas::batch_norm(&size, [&x, &w, &b, &r], Some(&moments));
        for mut device in devices() {
            let (x, r) = (to_activation(&device, &rows.x, 15, 3.0), to_activation(&device, &rows.residual, 15, 3.0));
            let mut y = unwritten(&device, 19, 15);
            let residual = if residual { Some(r.as_slice()) } else { None };
            let (weight, bias) = (rows.weight.as_slice(), rows.bias.as_slice());
            let input = BatchNormInput { x: x.as_slice(), weight, bias, residual };
            device.batch_norm_evaluate(&size, input, &running, &mut y);
            assert_close("evaluation", &to_rows(&device, &y, 19, 15), &expected, 1e-6);
            assert_padding_is_zero(&device, "y", &y, 19, 15);
        }
    }
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    for [samples, channels, plane] in [[33, 3, 35], [64, 2, 64], [7, 4, 1]] {
        let size = BatchNormSize { samples, channels, plane, epsilon: 1e-5, relu: true };
        let mut rows = rows(&size, true);
        rows.x.iter_mut().for_each(|x| *x /= 3.0);
        bits::check(&format!("{size:?}"), |device| {
            let r = both_passes(device, &size, &rows);
            [r.y, r.moments, r.statistics, r.d_residual, r.d_x, r.d_weight, r.d_bias].concat()
        });
    }
}

/// A NaN is seen by whoever looks at the loss; it does not become a 0.
#[test]
fn a_nan_stays() {
    let size = BatchNormSize { samples: 3, channels: 1, plane: 2, epsilon: 1e-5, relu: true };
    let mut rows = rows(&size, false);
    rows.x[1] = f32::NAN;
    for mut device in devices() {
        let results = both_passes(&mut device, &size, &rows);
        assert!(results.y.iter().chain(&results.statistics).chain(&results.moments).all(|value| value.is_nan()));
    }
}
