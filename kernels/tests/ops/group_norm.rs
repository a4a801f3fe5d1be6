//! Group normalisation against the plain f64 formula and its finite differences.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::group_norm::{GroupNorm, GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};

use crate::layout::{assert_close, assert_padding_is_zero, devices, numbers, to_activation, to_rows, unwritten, wide};
use crate::{bits, reference};

/// x, weight, bias, d_y.
pub type Rows = [Vec<f32>; 4];

pub fn rows(size: &GroupNormSize) -> Rows {
    let len = size.samples * size.channels * size.plane;
    [numbers(len, 1), numbers(size.channels, 2), numbers(size.channels, 3), numbers(len, 5)]
}

/// y, d_x, d_weight, d_bias.
pub fn both_passes(device: &mut Cpu, size: &GroupNormSize, [x, weight, bias, d_y]: &Rows) -> [Vec<f32>; 4] {
    let features = size.channels * size.plane;
    let (x, d_y) = (to_activation(x, features, 3.0), to_activation(d_y, features, 0.0));
    let mut y = unwritten(device, size.samples, features);
    let mut moments = unwritten(device, size.samples, size.moments_features());
    device.group_norm_forward(size, &x, weight, bias, GroupNormOutput { y: &mut y, moments: &mut moments });
    assert_padding_is_zero("y", &y, size.samples, features);
    let mut d_x = unwritten(device, size.samples, features);
    let (mut d_weight, mut d_bias) = (vec![7.0; size.channels], vec![7.0; size.channels]);
    device.group_norm_backward(
        size,
        GroupNormSaved { x: &x, weight, moments: &moments },
        GroupNormGradients { d_y: &d_y, d_x: &mut d_x, d_weight: &mut d_weight, d_bias: &mut d_bias },
    );
    assert_padding_is_zero("d_x", &d_x, size.samples, features);
    [to_rows(&y, size.samples, features), to_rows(&d_x, size.samples, features), d_weight, d_bias]
}

fn formula(size: &GroupNormSize, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let mut y = Vec::new();
    for (g, values) in x.chunks(size.channels / size.groups * size.plane).enumerate() {
        let mean = reference::mean(values);
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
        for (i, x) in values.iter().enumerate() {
            let channel = g % size.groups * (size.channels / size.groups) + i / size.plane;
            y.push(w[channel] * (x - mean) / (variance + f64::from(size.epsilon)).sqrt() + b[channel]);
        }
    }
    y
}

fn check(size: GroupNormSize) {
    let rows = rows(&size);
    let [x, w, b, _] = rows.each_ref().map(|row| wide(row));
    let dot = |y: Vec<f64>| reference::dot(&y, &rows[3]);
    let expected = [
        formula(&size, &x, &w, &b),
        reference::gradient(&rows[0], |x| dot(formula(&size, x, &w, &b))),
        reference::gradient(&rows[1], |w| dot(formula(&size, &x, w, &b))),
        reference::gradient(&rows[2], |b| dot(formula(&size, &x, &w, b))),
    ];
    for mut device in devices() {
        let results = both_passes(&mut device, &size, &rows);
        for (i, part) in ["y", "d_x", "d_weight", "d_bias"].into_iter().enumerate() {
            assert_close(&format!("{size:?} {} {part}", device.instruction_set()), &results[i], &expected[i], 2e-6);
        }
    }
}

#[test]
fn values_and_gradients() {
    for [samples, channels, groups, plane] in
        [[1, 1, 1, 2], [3, 4, 2, 3], [17, 6, 3, 2], [2, 4, 1, 5], [5, 3, 3, 4], [1, 2, 1, 40], [18, 9, 1, 1]]
    {
        // With two values the gradient is all but 0 unless ε weighs something.
        let epsilon = if channels / groups * plane < 4 { 0.5 } else { 1e-5 };
        check(GroupNormSize { samples, channels, groups, plane, epsilon });
    }
}

#[test]
fn a_large_mean_costs_no_digits() {
    let size = GroupNormSize { samples: 3, channels: 4, groups: 2, plane: 500, epsilon: 1e-9 };
    let mut rows = rows(&size);
    rows[0].iter_mut().for_each(|x| *x = 1000.0 - *x / 2.0);
    let [x, w, b, _] = rows.each_ref().map(|row| wide(row));
    for mut device in devices() {
        assert_close("y", &both_passes(&mut device, &size, &rows)[0], &formula(&size, &x, &w, &b), 1e-6);
    }
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    for [samples, channels, groups, plane] in [[33, 6, 2, 35], [16, 4, 1, 64]] {
        let size = GroupNormSize { samples, channels, groups, plane, epsilon: 1e-5 };
        let mut rows = rows(&size);
        rows[0].iter_mut().for_each(|x| *x /= 3.0);
        bits::check(&format!("{size:?}"), |device| both_passes(device, &size, &rows).concat());
    }
}

#[test]
#[should_panic(expected = "3 groups do not divide 4 channels")]
fn groups_that_do_not_divide_are_refused() {
    let size = GroupNormSize { samples: 1, channels: 4, groups: 3, plane: 1, epsilon: 1e-5 };
    both_passes(&mut devices()[0], &size, &rows(&size));
}
