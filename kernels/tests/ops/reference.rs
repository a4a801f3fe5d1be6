//! The forward formulas, written plainly over rows of samples in f64.

use lockstep_kernels::activation::Activation;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::linear::LinearSize;
use lockstep_kernels::pool2d::Pool2dSize;

pub fn linear(size: &LinearSize, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let LinearSize { samples, inputs, outputs } = *size;
    let mut y = Vec::new();
    for n in 0..samples {
        for o in 0..outputs {
            y.push(b[o] + (0..inputs).map(|i| x[n * inputs + i] * w[o * inputs + i]).sum::<f64>());
        }
    }
    y
}

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

/// Applies `of_window` to the values of each window, row by row.
pub fn pool2d(size: &Pool2dSize, x: &[f64], of_window: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut y = Vec::new();
    for plane in 0..size.samples * size.channels {
        for i in 0..size.out_height() {
            for j in 0..size.out_width() {
                let mut values = Vec::new();
                for u in 0..size.window {
                    for v in 0..size.window {
                        let row = plane * size.height + i * size.window + u;
                        values.push(x[row * size.width + j * size.window + v]);
                    }
                }
                y.push(of_window(&values));
            }
        }
    }
    y
}

pub fn activation(function: Activation, x: f64) -> f64 {
    match function {
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::LeakyRelu { slope } => x.max(0.0) + f64::from(slope) * x.min(0.0),
        Activation::ScaledTanh => 1.7159 * (2.0 / 3.0 * x).tanh(),
    }
}

pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(f64::NEG_INFINITY, |m, x| m.max(*x))
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
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

/// `Σ y · d`, the scalar whose gradient a backward pass with `d_y = d` computes.
pub fn dot(y: &[f64], d: &[f32]) -> f64 {
    y.iter().zip(d).map(|(y, d)| y * f64::from(*d)).sum()
}

/// The gradient of `f` at `at` by central differences. Exact up to rounding where `f` is linear.
pub fn gradient(at: &[f32], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut x: Vec<f64> = at.iter().map(|x| f64::from(*x)).collect();
    let step = 1e-5;
    (0..x.len())
        .map(|i| {
            let middle = x[i];
            x[i] = middle + step;
            let above = f(&x);
            x[i] = middle - step;
            let below = f(&x);
            x[i] = middle;
            (above - below) / (2.0 * step)
        })
        .collect()
}
