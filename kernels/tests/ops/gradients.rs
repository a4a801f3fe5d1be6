//! Every op that has a way back, value and gradients, against its formula in f64: the whole list.

use lockstep_kernels::activation::ActivationSize;
use lockstep_kernels::batch_norm::BatchNormSize;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::dropout::DropoutSize;
use lockstep_kernels::group_norm::GroupNormSize;
use lockstep_kernels::linear::LinearSize;
use lockstep_kernels::pool2d::Pool2dSize;
use lockstep_kernels::radial_basis::RadialBasisSize;

use crate::activations::ACTIVATIONS;
use crate::gradient_check::gradient_check;
use crate::losses::{self, LOSSES};
use crate::{batch_norm, dropout, group_norm, local_response_norm, passes, pooling, radial_basis, subsample2d};
use lockstep_selftest::formulas::{self, Pooling};
use lockstep_selftest::numbers::numbers;
use lockstep_selftest::ops::local_response_norm::small_sizes;
use lockstep_selftest::ops::poolings::{grid_sizes, window_sizes};

/// Operands of these lengths, the last the gradient behind the op.
fn rows<const N: usize>(lengths: [usize; N]) -> [Vec<f32>; N] {
    std::array::from_fn(|i| numbers(lengths[i], i + 1))
}

/// x of larger numbers.
fn stretched<const N: usize>(factor: f32, mut rows: [Vec<f32>; N]) -> [Vec<f32>; N] {
    rows[0].iter_mut().for_each(|x| *x *= factor);
    rows
}

#[test]
fn linear() {
    // The last has more terms than go at once, and a full tile of inputs.
    for [samples, inputs, outputs] in
        [[1, 1, 1], [3, 5, 2], [16, 16, 6], [17, 33, 13], [33, 17, 10], [100, 7, 4], [5, 150, 9]]
    {
        let size = LinearSize { samples, inputs, plane: 1, outputs };
        gradient_check(
            &format!("{size:?}"),
            &rows([samples * inputs, outputs * inputs, outputs, samples * outputs]),
            |[x, w, b, _]| formulas::linear(&size, x, w, b),
            |device, rows| passes::linear(device, &size, rows),
            1e-6,
        );
    }
}

/// (N, C, O, H, W, K, p)
fn plain([samples, in_channels, out_channels, height, width, kernel, padding]: [usize; 7]) -> Conv2dSize {
    Conv2dSize { samples, in_channels, out_channels, height, width, kernel, padding, ..Conv2dSize::PLAIN }
}

fn in_features(size: &Conv2dSize) -> usize {
    size.samples * size.in_channels * size.height * size.width
}

#[test]
fn conv2d() {
    let shapes = [
        [1, 1, 1, 1, 1, 1, 0],
        [2, 2, 3, 4, 5, 3, 1],
        [2, 3, 5, 6, 4, 2, 0],
        [1, 1, 2, 7, 9, 4, 3],
        [2, 1, 7, 5, 6, 3, 2],
        [1, 2, 4, 7, 7, 7, 3],
        [18, 1, 2, 3, 3, 3, 1],
        // LeNet-5's on smaller planes, so that the differences stay quick.
        [1, 1, 6, 8, 8, 5, 2],
        [1, 2, 16, 6, 14, 5, 0],
    ];
    let strided = Conv2dSize { stride: 2, ..plain([2, 2, 3, 7, 6, 3, 1]) };
    let others = [
        strided,
        Conv2dSize { dilation: 2, ..strided },
        Conv2dSize { in_channels: 4, out_channels: 6, groups: 2, ..strided },
        Conv2dSize { in_channels: 3, groups: 3, stride: 1, ..strided },
    ];
    for size in shapes.map(plain).into_iter().chain(others) {
        let out_features = size.samples * size.out_channels * size.out_height() * size.out_width();
        gradient_check(
            &format!("{size:?}"),
            &rows([in_features(&size), size.weights(), size.out_channels, out_features]),
            |[x, w, b, _]| formulas::conv2d(&size, x, w, b),
            |device, rows| passes::conv2d(device, &size, rows),
            1e-6,
        );
    }
}

/// The op in one piece against the formulas of the two.
#[test]
fn conv2d_max_pool2d() {
    for shape in [
        [1, 1, 6, 8, 8, 5, 2],
        [1, 2, 16, 6, 8, 5, 0],
        [2, 3, 5, 5, 7, 3, 1],
        [17, 1, 1, 5, 4, 2, 1],
        [1, 1, 2, 1, 1, 1, 0],
    ] {
        let size = plain(shape);
        let (samples, channels) = (size.samples, size.out_channels);
        let (height, width) = (size.out_height(), size.out_width());
        let pool = Pool2dSize { samples, channels, height, width, window: 2, stride: 2, padding: 0 };
        let out_features = samples * channels * pool.out_height() * pool.out_width();
        gradient_check(
            &format!("pooled {size:?}"),
            &rows([in_features(&size), size.weights(), channels, out_features]),
            |[x, w, b, _]| formulas::pool2d(Pooling::Max, &pool, &formulas::conv2d(&size, x, w, b)),
            |device, rows| passes::conv2d_max_pool2d(device, &size, rows),
            1e-6,
        );
    }
}

#[test]
fn max_and_average_pool2d() {
    for size in window_sizes() {
        let (in_features, out_features) = pooling::features(&size);
        for pooling in [Pooling::Max, Pooling::Average] {
            gradient_check(
                &format!("{pooling:?} {size:?}"),
                &rows([size.samples * in_features, size.samples * out_features]),
                |[x, _]| formulas::pool2d(pooling, &size, x),
                |device, [x, d_y]| pooling::both_passes(device, pooling, &size, x, d_y),
                1e-6,
            );
        }
    }
}

#[test]
fn adaptive_average_pool2d() {
    for size in grid_sizes() {
        let planes = size.samples * size.channels;
        gradient_check(
            &format!("{size:?}"),
            &rows([planes * size.height * size.width, planes * size.out_height * size.out_width]),
            |[x, _]| formulas::adaptive_average_pool2d(&size, x),
            |device, [x, d_y]| pooling::adaptive(device, &size, x, d_y),
            1e-6,
        );
    }
}

#[test]
fn activations() {
    let size = ActivationSize { samples: 19, features: 3 };
    for function in ACTIVATIONS {
        gradient_check(
            &format!("{function:?}"),
            &stretched(4.0, rows([57, 57])),
            |[x, _]| x.iter().map(|x| formulas::activation(function, *x)).collect(),
            |device, rows| passes::activation(device, &size, function, rows),
            1e-6,
        );
    }
}

#[test]
fn batch_norm() {
    for [samples, channels, plane] in [[2, 1, 1], [1, 2, 3], [5, 3, 4], [16, 2, 5], [33, 1, 3], [2, 2, 70]] {
        // With two values the gradient is all but 0 unless ε weighs something.
        let epsilon = if samples * plane < 4 { 0.5 } else { 1e-5 };
        for (relu, residual) in [(false, false), (true, false), (false, true), (true, true)] {
            let size = BatchNormSize { samples, channels, plane, epsilon, relu };
            let len = samples * channels * plane;
            gradient_check(
                &format!("{size:?} residual: {residual}"),
                &rows([len, channels, channels, if residual { len } else { 0 }, len]),
                |[x, w, b, r, _]| formulas::batch_norm(&size, [x, w, b, r], None),
                |device, rows| batch_norm::value_and_gradients(device, &size, rows),
                2e-6,
            );
        }
    }
}

/// One group is layer norm, as many as channels instance norm.
#[test]
fn group_norm() {
    for [samples, channels, groups, plane] in
        [[1, 1, 1, 2], [3, 4, 2, 3], [17, 6, 3, 2], [2, 4, 1, 5], [5, 3, 3, 4], [1, 2, 1, 40], [18, 9, 1, 1]]
    {
        let epsilon = if channels / groups * plane < 4 { 0.5 } else { 1e-5 };
        let size = GroupNormSize { samples, channels, groups, plane, epsilon };
        let len = samples * channels * plane;
        gradient_check(
            &format!("{size:?}"),
            &rows([len, channels, channels, len]),
            |[x, w, b, _]| formulas::group_norm(&size, x, w, b),
            |device, rows| group_norm::both_passes(device, &size, rows),
            2e-6,
        );
    }
}

#[test]
fn local_response_norm() {
    for size in small_sizes() {
        let len = size.samples * size.channels * size.plane;
        gradient_check(
            &format!("{size:?}"),
            &stretched(3.0, rows([len, len])),
            |[x, _]| formulas::local_response_norm(&size, x),
            |device, [x, d_y]| local_response_norm::both_passes(device, &size, x, d_y),
            1e-6,
        );
    }
}

#[test]
fn dropout() {
    for (samples, features, probability) in [(1, 1, 0.5), (5, 7, 0.25), (16, 4, 0.9), (19, 13, 0.0), (33, 6, 0.5)] {
        let (size, keys) = (DropoutSize { samples, features, plane: 1, probability }, dropout::keys(samples));
        gradient_check(
            &format!("{size:?}"),
            &rows([samples * features; 2]),
            |[x, _]| formulas::dropout(&size, &keys, x),
            |device, [x, d_y]| dropout::both_passes(device, &size, &keys, x, d_y),
            1e-6,
        );
    }
}

#[test]
fn addition() {
    gradient_check(
        "addition",
        &rows([37; 3]),
        |[a, b, _]| a.iter().zip(b).map(|(a, b)| a + b).collect(),
        passes::addition,
        1e-6,
    );
}

#[test]
fn concatenate() {
    let widths = [3, 1, 5];
    for samples in [1, 16, 19] {
        let [a, b, c] = widths.map(|width| samples * width);
        gradient_check(
            &format!("concatenate {samples} samples"),
            &rows([a, b, c, a + b + c]),
            |[a, b, c, _]| formulas::concatenate(&widths, &[a, b, c]),
            |device, rows| passes::concatenate(device, widths, rows),
            1e-6,
        );
    }
}

#[test]
fn subsample2d() {
    for size in subsample2d::subsamplings() {
        let planes = size.samples * size.channels;
        let [inside, outside] = [size.height * size.width, size.out_height() * size.out_width()];
        gradient_check(
            &format!("{size:?}"),
            &rows([planes * inside, size.channels, size.channels, planes * outside]),
            |[x, w, b, _]| formulas::subsample2d(&size, x, w, b),
            |device, rows| subsample2d::subsample2d(device, &size, rows),
            1e-6,
        );
    }
}

/// Its centres are fixed: only x has a gradient.
#[test]
fn radial_basis() {
    for [samples, inputs, outputs] in [[1, 1, 1], [3, 84, 10], [17, 5, 3], [2, 70, 1]] {
        let size = RadialBasisSize { samples, inputs, outputs };
        let centres = numbers(outputs * inputs, 9);
        let wide: Vec<f64> = centres.iter().map(|c| f64::from(*c)).collect();
        gradient_check(
            &format!("{size:?}"),
            &rows([samples * inputs, samples * outputs]),
            |[x, _]| formulas::radial_basis(&size, x, &wide),
            |device, [x, d_y]| radial_basis::radial_basis(device, &size, x, &centres, d_y),
            1e-6,
        );
    }
}

/// The value is the micro-batch's sum, so that there is one number behind each.
#[test]
fn losses() {
    for (samples, classes) in [(1, 2), (16, 10), (37, 10), (5, 33), (2, 150)] {
        let size = ClassesSize { samples, classes };
        let labels = losses::labels(&size);
        for (name, loss, formula) in LOSSES {
            let [x] = stretched(5.0, rows([samples * classes]));
            gradient_check(
                &format!("{name} {size:?}"),
                &[x, vec![1.0]],
                |[x, _]| {
                    let rows = x.chunks(classes).zip(&labels);
                    vec![rows.map(|(x, label)| formula(x, usize::from(*label))).sum()]
                },
                |device, [x, _]| losses::value_and_gradient(device, loss, &size, x),
                1e-6,
            );
        }
    }
}
