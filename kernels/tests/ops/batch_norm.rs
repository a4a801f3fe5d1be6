//! Batch normalisation against the plain f64 formula and its finite differences.

use lockstep_kernels::batch_norm::{
    BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize,
};
use lockstep_kernels::cpu::Cpu;

use crate::layout::{assert_close, assert_padding_is_zero, devices, numbers, to_activation, to_rows, unwritten, wide};
use crate::{bits, reference};

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
    let x = to_activation(&rows.x, features, 3.0);
    let residual = to_activation(&rows.residual, features, 3.0);
    let (weight, bias) = (rows.weight.as_slice(), rows.bias.as_slice());
    let mut y = unwritten(device, size.samples, features);
    let (mut moments, mut statistics) = (vec![7.0; 2 * size.channels], vec![7.0; 2 * size.channels]);
    let residual = if rows.residual.is_empty() { None } else { Some(residual.as_slice()) };
    device.batch_norm_forward(
        size,
        BatchNormInput { x: &x, weight, bias, residual },
        BatchNormOutput { y: &mut y, moments: &mut moments, statistics: &mut statistics },
    );
    assert_padding_is_zero("y", &y, size.samples, features);
    let mut d_y = to_activation(&rows.d_y, features, 0.0);
    let mut d_x = unwritten(device, size.samples, features);
    let (mut d_weight, mut d_bias) = (vec![7.0; size.channels], vec![7.0; size.channels]);
    device.batch_norm_backward(
        size,
        BatchNormSaved { x: &x, y: &y, weight, moments: &moments },
        BatchNormGradients { d_y: &mut d_y, d_x: &mut d_x, d_weight: &mut d_weight, d_bias: &mut d_bias },
    );
    assert_padding_is_zero("d_x", &d_x, size.samples, features);
    assert_padding_is_zero("d_y", &d_y, size.samples, features);
    let [y, d_residual, d_x] = [y, d_y, d_x].map(|activation| to_rows(&activation, size.samples, features));
    Results { y, moments, statistics, d_residual, d_x, d_weight, d_bias }
}

/// (mean, biased variance) of a channel.
fn moments(size: &BatchNormSize, x: &[f64], channel: usize) -> (f64, f64) {
    let of_channel = |i: &usize| i / size.plane % size.channels == channel;
    let values: Vec<f64> = (0..x.len()).filter(of_channel).map(|i| x[i]).collect();
    let mean = reference::mean(&values);
    (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

fn normalise(size: &BatchNormSize, x: &[f64], w: &[f64], b: &[f64], r: &[f64], moments: &[(f64, f64)]) -> Vec<f64> {
    let at = |i: usize| {
        let channel = i / size.plane % size.channels;
        let (mean, variance) = moments[channel];
        let normalised = (x[i] - mean) / (variance + f64::from(size.epsilon)).sqrt();
        let value = w[channel] * normalised + b[channel] + r.get(i).unwrap_or(&0.0);
        if size.relu { value.max(0.0) } else { value }
    };
    (0..x.len()).map(at).collect()
}

fn formula(size: &BatchNormSize, x: &[f64], w: &[f64], b: &[f64], r: &[f64]) -> Vec<f64> {
    let moments: Vec<_> = (0..size.channels).map(|channel| moments(size, x, channel)).collect();
    normalise(size, x, w, b, r, &moments)
}

fn check(size: BatchNormSize, residual: bool) {
    let rows = rows(&size, residual);
    let (x, w, b, r) = (wide(&rows.x), wide(&rows.weight), wide(&rows.bias), wide(&rows.residual));
    let dot = |y: Vec<f64>| reference::dot(&y, &rows.d_y);
    let y = formula(&size, &x, &w, &b, &r);
    let d_x = reference::gradient(&rows.x, |x| dot(formula(&size, x, &w, &b, &r)));
    let d_w = reference::gradient(&rows.weight, |w| dot(formula(&size, &x, w, &b, &r)));
    let d_b = reference::gradient(&rows.bias, |b| dot(formula(&size, &x, &w, b, &r)));
    let zeros = vec![0.0; x.len()];
    let d_r = reference::gradient(&zeros, |d| {
        let r: Vec<f64> = (0..d.len()).map(|i| d[i] + r.get(i).unwrap_or(&0.0)).collect();
        dot(formula(&size, &x, &w, &b, &r))
    });
    let (mut expected_moments, mut statistics) = (vec![0.0; 2 * size.channels], vec![0.0; 2 * size.channels]);
    let (samples, n) = (size.samples as f64, (size.samples * size.plane) as f64);
    for channel in 0..size.channels {
        let (mean, variance) = moments(&size, &x, channel);
        expected_moments[channel] = mean;
        expected_moments[size.channels + channel] = 1.0 / (variance + f64::from(size.epsilon)).sqrt();
        statistics[channel] = samples * mean;
        statistics[size.channels + channel] = samples * variance * if n > 1.0 { n / (n - 1.0) } else { 1.0 };
    }
    for mut device in devices() {
        let results = both_passes(&mut device, &size, &rows);
        let name = |part: &str| format!("{size:?} residual: {residual} {} {part}", device.instruction_set());
        assert_close(&name("y"), &results.y, &y, 1e-6);
        assert_close(&name("moments"), &results.moments, &expected_moments, 1e-6);
        assert_close(&name("statistics"), &results.statistics, &statistics, 1e-6);
        assert_close(&name("d_x"), &results.d_x, &d_x, 2e-6);
        assert_close(&name("d_weight"), &results.d_weight, &d_w, 1e-6);
        assert_close(&name("d_bias"), &results.d_bias, &d_b, 1e-6);
        assert_close(&name("d_residual"), &results.d_residual, &d_r, 1e-6);
    }
}

#[test]
fn values_and_gradients() {
    for [samples, channels, plane] in [[2, 1, 1], [1, 2, 3], [5, 3, 4], [16, 2, 5], [33, 1, 3], [2, 2, 70]] {
        // With two values the gradient is all but 0 unless ε weighs something.
        let epsilon = if samples * plane < 4 { 0.5 } else { 1e-5 };
        for (relu, residual) in [(false, false), (true, false), (false, true), (true, true)] {
            check(BatchNormSize { samples, channels, plane, epsilon, relu }, residual);
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
    let y = formula(&size, &x, &wide(&rows.weight), &wide(&rows.bias), &[]);
    for mut device in devices() {
        let results = both_passes(&mut device, &size, &rows);
        assert_close("y", &results.y, &y, 1e-6);
        for channel in 0..2 {
            let (mean, variance) = moments(&size, &x, channel);
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
        let expected = normalise(&size, &x, &w, &b, &r, &moments);
        for mut device in devices() {
            let (x, r) = (to_activation(&rows.x, 15, 3.0), to_activation(&rows.residual, 15, 3.0));
            let mut y = unwritten(&device, 19, 15);
            let residual = if residual { Some(r.as_slice()) } else { None };
            let (weight, bias) = (rows.weight.as_slice(), rows.bias.as_slice());
            let input = BatchNormInput { x: x.as_slice(), weight, bias, residual };
            device.batch_norm_evaluate(&size, input, &running, &mut y);
            assert_close("evaluation", &to_rows(&y, 19, 15), &expected, 1e-6);
            assert_padding_is_zero("y", &y, 19, 15);
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
