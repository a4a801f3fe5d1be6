//! Group normalisation: large means, bits, refusals.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::group_norm::{GroupNorm, GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};

use crate::bits;
use crate::layout::{assert_close, assert_padding_is_zero, devices, to_activation, to_rows, unwritten};
use lockstep_selftest::formulas;
use lockstep_selftest::numbers::{numbers, wide};

/// x, weight, bias, d_y.
pub type Rows = [Vec<f32>; 4];

pub fn rows(size: &GroupNormSize) -> Rows {
    let len = size.samples * size.channels * size.plane;
    [numbers(len, 1), numbers(size.channels, 2), numbers(size.channels, 3), numbers(len, 5)]
}

/// y, d_x, d_weight, d_bias.
pub fn both_passes(device: &mut Cpu, size: &GroupNormSize, [x, weight, bias, d_y]: &Rows) -> [Vec<f32>; 4] {
    let features = size.channels * size.plane;
    let (x, d_y) = (to_activation(device, x, features, 3.0), to_activation(device, d_y, features, 0.0));
    let mut y = unwritten(device, size.samples, features);
    let mut moments = unwritten(device, size.samples, size.moments_features());
    device.group_norm_forward(size, &x, weight, bias, GroupNormOutput { y: &mut y, moments: &mut moments });
    assert_padding_is_zero(device, "y", &y, size.samples, features);
    let mut d_x = unwritten(device, size.samples, features);
    let (mut d_weight, mut d_bias) = (vec![7.0; size.channels], vec![7.0; size.channels]);
    device.group_norm_backward(
        size,
        GroupNormSaved { x: &x, weight, moments: &moments },
        GroupNormGradients { d_y: &d_y, d_x: &mut d_x, d_weight: &mut d_weight, d_bias: &mut d_bias },
    );
    assert_padding_is_zero(device, "d_x", &d_x, size.samples, features);
    [to_rows(device, &y, size.samples, features), to_rows(device, &d_x, size.samples, features), d_weight, d_bias]
}

#[test]
fn a_large_mean_costs_no_digits() {
    let size = GroupNormSize { samples: 3, channels: 4, groups: 2, plane: 500, epsilon: 1e-9 };
    let mut rows = rows(&size);
    rows[0].iter_mut().for_each(|x| *x = 1000.0 - *x / 2.0);
    let [x, w, b, _] = rows.each_ref().map(|row| wide(row));
    for mut device in devices() {
        assert_close("y", &both_passes(&mut device, &size, &rows)[0], &formulas::group_norm(&size, &x, &w, &b), 1e-6);
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
