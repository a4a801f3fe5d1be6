//! The formulas of the way forward, written plainly over rows of samples, (N, C, H · W), in f64.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::batch_norm::BatchNormSize;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::dropout::DropoutSize;
use lockstep_kernels::group_norm::GroupNormSize;
use lockstep_kernels::linear::LinearSize;
use lockstep_kernels::local_response_norm::LocalResponseNormSize;
use lockstep_kernels::pool2d::{AdaptivePool2dSize, Pool2dSize};
use lockstep_kernels::radial_basis::RadialBasisSize;
use lockstep_kernels::subsample2d::Subsample2dSize;

/// The linear layer.
pub fn linear(size: &LinearSize, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let LinearSize { samples, inputs, outputs, .. } = *size;
    let mut y = Vec::new();
    for n in 0..samples {
        for o in 0..outputs {
            y.push(b[o] + (0..inputs).map(|i| x[n * inputs + i] * w[o * inputs + i]).sum::<f64>());
        }
    }
    y
}

/// The convolution.
pub fn conv2d(size: &Conv2dSize, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; size.samples * size.out_channels * size.out_height() * size.out_width()];
    for (place, y) in y.iter_mut().enumerate() {
        *y = b[place / (size.out_height() * size.out_width()) % size.out_channels];
    }
    conv2d_terms(size, |x_at, w_at, y_at| y[y_at] += x[x_at] * w[w_at]);
    y
}

/// Calls `term` with the places in x, w and y of every product that the formula has: `y[y_at] += x[x_at] · w[w_at]`.
pub fn conv2d_terms(size: &Conv2dSize, mut term: impl FnMut(usize, usize, usize)) {
    let Conv2dSize { samples, in_channels, out_channels, height, width, kernel, stride, padding, dilation, .. } = *size;
    let (from, to) = (in_channels / size.groups, out_channels / size.groups);
    let mut y_at = 0;
    for n in 0..samples {
        for o in 0..out_channels {
            for i in 0..size.out_height() {
                for j in 0..size.out_width() {
                    for c in 0..from {
                        for u in 0..kernel {
                            for v in 0..kernel {
                                let (row, column) = (i * stride + u * dilation, j * stride + v * dilation);
                                let inside = (padding..height + padding).contains(&row)
                                    && (padding..width + padding).contains(&column);
                                if inside {
                                    let plane = (n * in_channels + o / to * from + c) * height;
                                    let x_at = (plane + row - padding) * width + column - padding;
                                    term(x_at, ((o * from + c) * kernel + u) * kernel + v, y_at);
                                }
                            }
                        }
                    }
                    y_at += 1;
                }
            }
        }
    }
}

/// What a pooling takes of a window.
#[derive(Clone, Copy, Debug)]
pub enum Pooling {
    /// The largest value.
    Max,
    /// The mean.
    Average,
}

/// Pads with −∞ or 0, then takes the largest value or the mean of every window.
pub fn pool2d(pooling: Pooling, size: &Pool2dSize, x: &[f64]) -> Vec<f64> {
    let (of_window, outside) = match pooling {
        Pooling::Max => (largest as fn(&[f64]) -> f64, f64::NEG_INFINITY),
        Pooling::Average => (mean as fn(&[f64]) -> f64, 0.0),
    };
    let mut y = Vec::new();
    for plane in x.chunks(size.height * size.width) {
        let at = |row: usize, column: usize| {
            let (row, column) = (row.wrapping_sub(size.padding), column.wrapping_sub(size.padding));
            if row < size.height && column < size.width { plane[row * size.width + column] } else { outside }
        };
        for i in 0..size.out_height() {
            for j in 0..size.out_width() {
                let places = (0..size.window * size.window).map(|k| (k / size.window, k % size.window));
                let values: Vec<f64> = places.map(|(u, v)| at(i * size.stride + u, j * size.stride + v)).collect();
                y.push(of_window(&values));
            }
        }
    }
    y
}

/// The mean of each cell.
pub fn adaptive_average_pool2d(size: &AdaptivePool2dSize, x: &[f64]) -> Vec<f64> {
    let part = |i: usize, all: usize, parts: usize| i * all / parts..((i + 1) * all).div_ceil(parts);
    let mut y = Vec::new();
    for plane in x.chunks(size.height * size.width) {
        for cell in 0..size.out_height * size.out_width {
            let rows = part(cell / size.out_width, size.height, size.out_height);
            let columns = part(cell % size.out_width, size.width, size.out_width);
            let places = rows.flat_map(|i| columns.clone().map(move |j| i * size.width + j));
            y.push(mean(&places.map(|place| plane[place]).collect::<Vec<_>>()));
        }
    }
    y
}

/// Sub-sampling.
pub fn subsample2d(size: &Subsample2dSize, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let mut y = Vec::new();
    for (plane, x) in x.chunks(size.height * size.width).enumerate() {
        for i in 0..size.out_height() {
            for j in 0..size.out_width() {
                let at = |u: usize, v: usize| x[(2 * i + u) * size.width + 2 * j + v];
                let sum = at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1);
                y.push(weight[plane % size.channels] * sum + bias[plane % size.channels]);
            }
        }
    }
    y
}

/// Radial basis functions.
pub fn radial_basis(size: &RadialBasisSize, x: &[f64], centres: &[f64]) -> Vec<f64> {
    let distance = |x: &[f64], centre: &[f64]| x.iter().zip(centre).map(|(x, c)| (x - c).powi(2)).sum();
    let of_sample = |x| centres.chunks(size.inputs).map(move |centre| distance(x, centre));
    x.chunks(size.inputs).flat_map(of_sample).collect()
}

/// (mean, biased variance) of each channel.
pub fn batch_moments(size: &BatchNormSize, x: &[f64]) -> Vec<(f64, f64)> {
    let of_channel = |channel| {
        let values: Vec<f64> =
            (0..x.len()).filter(|i| i / size.plane % size.channels == channel).map(|i| x[i]).collect();
        moments(&values)
    };
    (0..size.channels).map(of_channel).collect()
}

/// By the moments of each channel, or else those of the batch. `operands`: x, weight, bias, residual or nothing.
pub fn batch_norm(size: &BatchNormSize, [x, w, b, r]: [&[f64]; 4], moments: Option<&[(f64, f64)]>) -> Vec<f64> {
    let moments = moments.map_or_else(|| batch_moments(size, x), <[_]>::to_vec);
    let at = |i: usize| {
        let channel = i / size.plane % size.channels;
        let (mean, variance) = moments[channel];
        let normalised = (x[i] - mean) / (variance + f64::from(size.epsilon)).sqrt();
        let value = w[channel] * normalised + b[channel] + r.get(i).unwrap_or(&0.0);
        if size.relu { value.max(0.0) } else { value }
    };
    (0..x.len()).map(at).collect()
}

/// Group normalisation.
pub fn group_norm(size: &GroupNormSize, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let mut y = Vec::new();
    for (g, values) in x.chunks(size.channels / size.groups * size.plane).enumerate() {
        let (mean, variance) = moments(values);
        for (i, x) in values.iter().enumerate() {
            let channel = g % size.groups * (size.channels / size.groups) + i / size.plane;
            y.push(w[channel] * (x - mean) / (variance + f64::from(size.epsilon)).sqrt() + b[channel]);
        }
    }
    y
}

/// Local response normalisation.
pub fn local_response_norm(size: &LocalResponseNormSize, x: &[f64]) -> Vec<f64> {
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

/// Word `feature` of the documented stream: Philox4x32-10 in its authors' formula, one key at a time.
pub fn dropout_word(key: u64, feature: usize) -> u32 {
    let mut key = [key as u32, (key >> 32) as u32];
    let mut counter = [(feature / 4) as u32, 0, 0, 0];
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let a = 0xD251_1F53u64 * u64::from(counter[0]);
        let b = 0xCD9E_8D57u64 * u64::from(counter[2]);
        let high = |x: u64| (x >> 32) as u32;
        counter = [high(b) ^ counter[1] ^ key[0], b as u32, high(a) ^ counter[3] ^ key[1], a as u32];
    }
    counter[feature % 4]
}

/// Dropout.
pub fn dropout(size: &DropoutSize, keys: &[u64], x: &[f64]) -> Vec<f64> {
    let probability = f64::from(size.probability);
    let factor = |i: usize| {
        let word = dropout_word(keys[i / size.features], i % size.features);
        if f64::from(word) < probability * 2f64.powi(32) { 0.0 } else { 1.0 / (1.0 - probability) }
    };
    (0..x.len()).map(|i| factor(i) * x[i]).collect()
}

/// Parts of these widths side by side.
pub fn concatenate(widths: &[usize], parts: &[&[f64]]) -> Vec<f64> {
    let samples = parts[0].len() / widths[0];
    let of_sample = |n: usize| parts.iter().zip(widths).flat_map(move |(part, width)| &part[n * width..][..*width]);
    (0..samples).flat_map(of_sample).copied().collect()
}

/// An activation function.
pub fn activation(function: Activation, x: f64) -> f64 {
    match function {
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::LeakyRelu { slope } => x.max(0.0) + f64::from(slope) * x.min(0.0),
        Activation::ScaledTanh => 1.7159 * (2.0 / 3.0 * x).tanh(),
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// (mean, biased variance)
fn moments(values: &[f64]) -> (f64, f64) {
    let mean = mean(values);
    (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64)
}

/// Loss of one sample.
pub fn cross_entropy(x: &[f64], label: usize) -> f64 {
    x.iter().map(|x| x.exp()).sum::<f64>().ln() - x[label]
}

/// Loss of one sample.
pub fn squared_error(x: &[f64], label: usize) -> f64 {
    let square = |(k, x): (usize, &f64)| (x - f64::from(u8::from(k == label))).powi(2);
    x.iter().enumerate().map(square).sum::<f64>() / x.len() as f64
}

/// Loss of one sample.
pub fn smoothed_cross_entropy(x: &[f64], label: usize, smoothing: f64) -> f64 {
    let log_of_sum = x.iter().map(|x| x.exp()).sum::<f64>().ln();
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    log_of_sum - (1.0 - smoothing) * x[label] - smoothing * mean
}

/// Loss of one sample.
pub fn binary_cross_entropy(x: &[f64], label: usize) -> f64 {
    let of_output = |(k, x): (usize, &f64)| x.max(0.0) + (-x.abs()).exp().ln_1p() - if k == label { *x } else { 0.0 };
    x.iter().enumerate().map(of_output).sum::<f64>() / x.len() as f64
}

/// Loss of one sample.
pub fn map_loss(x: &[f64], label: usize, j: f64) -> f64 {
    let wrong: f64 = x.iter().enumerate().filter(|(k, _)| *k != label).map(|(_, x)| (-x).exp()).sum();
    x[label] + ((-j).exp() + wrong).ln()
}
