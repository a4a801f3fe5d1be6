//! Group normalisation: gradients, moments, large means.

use lockstep_kernels::device::{ActivationShape, Precision};
use lockstep_kernels::group_norm::{GroupNorm, GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::{rows, wide};

pub fn group_norm<D: GroupNorm>(bench: &mut Bench<'_, D>) {
    small_shapes(bench);
    shapes_of_many_blocks(bench);
    a_large_mean_costs_no_digits(bench);
}

/// x, weight, bias, d_y.
type Operands = [Vec<f32>; 4];

fn operands(size: &GroupNormSize) -> Operands {
    let len = size.samples * size.channels * size.plane;
    rows([len, size.channels, size.channels, len])
}

/// y, d_x, d_weight, d_bias, moments; those lie as activations of f32 do, and are empty where there are none such.
fn both_passes<D: GroupNorm>(device: &mut D, size: &GroupNormSize, [x, w, b, d_y]: &Operands) -> [Vec<f32>; 5] {
    let shape = ActivationShape { samples: size.samples, channels: size.channels, plane: size.plane };
    let pairs = ActivationShape::flat(size.samples, size.moments_features());
    let [x, d_y] = [x, d_y].map(|rows| Array::activation(device, &shape, rows));
    let [weight, bias] = [w, b].map(|values| Array::tensor(device, values));
    let mut y = Array::unwritten_activation(device, &shape);
    let len = device.note_len(pairs.samples, pairs.features());
    let mut moments = Array::unwritten(device, len);
    let output = GroupNormOutput { y: y.view_mut(), moments: moments.view_mut() };
    device.group_norm_forward(size, x.view(), weight.view(), bias.view(), output);
    let mut d_x = Array::unwritten_activation(device, &shape);
    let [mut d_weight, mut d_bias] = [(); 2].map(|()| Array::unwritten(device, size.channels));
    device.group_norm_backward(
        size,
        GroupNormSaved { x: x.view(), weight: weight.view(), moments: moments.view() },
        GroupNormGradients {
            d_y: d_y.view(),
            d_x: d_x.view_mut(),
            d_weight: d_weight.view_mut(),
            d_bias: d_bias.view_mut(),
        },
    );
    let [y, d_x] = [y, d_x].map(|activation| activation.rows(device, &shape));
    let [d_weight, d_bias] = [d_weight, d_bias].map(|tensor| tensor.read(device));
    let moments = if device.precision() == Precision::F32 { moments.rows(device, &pairs) } else { Vec::new() };
    [y, d_x, d_weight, d_bias, moments]
}

/// Gradients against differences. One group is layer norm, as many as channels instance norm.
fn small_shapes<D: GroupNorm>(bench: &mut Bench<'_, D>) {
    for [samples, channels, groups, plane] in
        [[1, 1, 1, 2], [3, 4, 2, 3], [17, 6, 3, 2], [2, 4, 1, 5], [5, 3, 3, 4], [1, 2, 1, 40], [18, 9, 1, 1]]
    {
        let epsilon = if channels / groups * plane < 4 { 0.5 } else { 1e-5 };
        let size = GroupNormSize { samples, channels, groups, plane, epsilon };
        bench.gradient_check(
            ("group_norm", &format!("{size:?}")),
            &operands(&size),
            |[x, w, b, _]| formulas::group_norm(&size, x, w, b),
            |device, operands| {
                let [y, d_x, d_weight, d_bias, _] = both_passes(device, &size, operands);
                [y, d_x, d_weight, d_bias]
            },
            2e-6,
        );
    }
}

/// Everything against the contract's formulas: channels, rows and groups in several blocks, groups of many channels, and
/// rows of which a thread has more than it holds at once.
fn shapes_of_many_blocks<D: GroupNorm>(bench: &mut Bench<'_, D>) {
    for [samples, channels, groups, plane] in [
        [3, 4, 2, 3],
        [1, 70, 7, 1400],
        [3, 64, 32, 70],
        [2, 600, 1, 5],
        [40, 6, 6, 9],
        [130, 12, 4, 1],
        [9, 330, 3, 1],
    ] {
        let size = GroupNormSize { samples, channels, groups, plane, epsilon: 1e-5 };
        let mut operands = operands(&size);
        // So that sums round.
        operands[0].iter_mut().for_each(|x| *x /= 3.0);
        let operands = bench.held(operands);
        let expected = expected(&size, &operands);
        let [first, again] = [(); 2].map(|()| both_passes(bench.device, &size, &operands));
        for (i, name) in ["y", "d_x", "d_weight", "d_bias", "moments"].into_iter().enumerate() {
            if name == "moments" && bench.device.precision() != Precision::F32 {
                continue;
            }
            bench.compare(("group_norm", &format!("{size:?}"), name), [&first[i], &again[i]], &expected[i], 2e-6);
        }
    }
}

/// As [`both_passes`] has them.
fn expected(size: &GroupNormSize, operands: &Operands) -> [Vec<f64>; 5] {
    let [x, w, b, d_y] = operands.each_ref().map(|row| wide(row));
    let together = size.channels / size.groups;
    let (mut d_x, mut d_w, mut d_b) = (Vec::new(), vec![0.0; size.channels], vec![0.0; size.channels]);
    let mut moments = vec![0.0; size.samples * 2 * size.groups];
    let len = together * size.plane;
    for (index, (x, d_y)) in x.chunks(len).zip(d_y.chunks(len)).enumerate() {
        let (n, g) = (index / size.groups, index % size.groups);
        let mean = x.iter().sum::<f64>() / len as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / len as f64;
        let inverse = 1.0 / (variance + f64::from(size.epsilon)).sqrt();
        moments[n * 2 * size.groups + g] = mean;
        moments[(n * 2 + 1) * size.groups + g] = inverse;
        let (mut mean_d, mut mean_product) = (0.0, 0.0);
        for i in 0..len {
            let (c, normalised) = (g * together + i / size.plane, (x[i] - mean) * inverse);
            d_b[c] += d_y[i];
            d_w[c] += d_y[i] * normalised;
            mean_d += w[c] * d_y[i] / len as f64;
            mean_product += w[c] * d_y[i] * normalised / len as f64;
        }
        d_x.extend((0..len).map(|i| {
            let d = w[g * together + i / size.plane] * d_y[i];
            (d - mean_d - (x[i] - mean) * inverse * mean_product) * inverse
        }));
    }
    [formulas::group_norm(size, &x, &w, &b), d_x, d_w, d_b, moments]
}

fn a_large_mean_costs_no_digits<D: GroupNorm>(bench: &mut Bench<'_, D>) {
    let size = GroupNormSize { samples: 3, channels: 4, groups: 2, plane: 500, epsilon: 1e-9 };
    let mut operands = operands(&size);
    operands[0].iter_mut().for_each(|x| *x = 1000.0 - *x / 2.0);
    let operands = bench.held(operands);
    let [y, ..] = expected(&size, &operands);
    let [first, again] = [(); 2].map(|()| both_passes(bench.device, &size, &operands));
    bench.compare(("group_norm", "of a large mean", "y"), [&first[0], &again[0]], &y, 1e-6);
}
