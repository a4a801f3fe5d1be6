//! Poolings of any stride and padding, and over grids.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::pool2d::{AdaptivePool2dSize, Pool2d, Pool2dSize};

use crate::bits;
use crate::layout::{assert_padding_is_zero, devices, lanes, to_activation, to_rows, unwritten};
use lockstep_selftest::formulas::Pooling;
use lockstep_selftest::ops::poolings::{grid_sizes, window_sizes};

pub fn features(size: &Pool2dSize) -> (usize, usize) {
    (size.channels * size.height * size.width, size.channels * size.out_height() * size.out_width())
}

/// y and d_x.
pub fn both_passes(device: &mut Cpu, pooling: Pooling, size: &Pool2dSize, x: &[f32], d_y: &[f32]) -> [Vec<f32>; 2] {
    let (in_features, out_features) = features(size);
    let (x, d_y) = (to_activation(device, x, in_features, 3.0), to_activation(device, d_y, out_features, 0.0));
    let mut y = unwritten(device, size.samples, out_features);
    let mut d_x = unwritten(device, size.samples, in_features);
    match pooling {
        Pooling::Max => {
            let mut choice = vec![99; y.len()];
            device.max_pool2d_forward(size, &x, &mut y, &mut choice);
            device.max_pool2d_backward(size, &d_y, &choice, &mut d_x);
        }
        Pooling::Average => {
            device.average_pool2d_forward(size, &x, &mut y);
            device.average_pool2d_backward(size, &d_y, &mut d_x);
        }
    }
    assert_padding_is_zero(device, "d_x", &d_x, size.samples, in_features);
    [to_rows(device, &y, size.samples, out_features), to_rows(device, &d_x, size.samples, in_features)]
}

#[test]
fn a_pooling_takes_the_first_of_equal_values_and_any_nan() {
    let size = Pool2dSize { samples: 1, channels: 1, height: 2, width: 8, window: 2, stride: 2, padding: 0 };
    let nan = f32::NAN;
    #[rustfmt::skip]
    let x = [
        1.0, 1.0,  0.0, nan,  nan, 9.0,  -1.0, -2.0,
        1.0, 1.0,  2.0, 1.0,  nan, 1.0,  -3.0, -0.5,
    ];
    for mut device in devices() {
        let mut y = unwritten(&device, 1, 4);
        let mut choice = vec![99; y.len()];
        device.max_pool2d_forward(&size, &to_activation(&device, &x, 16, 0.0), &mut y, &mut choice);
        let chosen: Vec<u8> = (0..4).map(|i| choice[i * lanes(&device, 1, 4)]).collect();
        assert_eq!(chosen, [0, 1, 0, 3]);
        let y = to_rows(&device, &y, 1, 4);
        assert!(y[0] == 1.0 && y[1].is_nan() && y[2].is_nan() && y[3] == -0.5, "{y:?}");
    }
}

#[test]
fn overlapping_windows_take_the_first_of_equal_values_and_any_nan() {
    let size = Pool2dSize { samples: 1, channels: 1, height: 3, width: 3, window: 3, stride: 2, padding: 1 };
    let nan = f32::NAN;
    for mut device in devices() {
        let x = to_activation(&device, &[-1.0, -1.0, -1.0, -1.0, -1.0, nan, -2.0, 5.0, nan], 9, 0.0);
        let mut y = unwritten(&device, 1, 4);
        let mut choice = vec![99; y.len()];
        device.max_pool2d_forward(&size, &x, &mut y, &mut choice);
        // The window's places are counted with its padding.
        assert_eq!([0, 1, 2, 3].map(|i| choice[i * lanes(&device, 1, 4)]), [4, 7, 5, 1]);
        let y = to_rows(&device, &y, 1, 4);
        assert!(y[0] == -1.0 && y[1].is_nan() && y[2] == 5.0 && y[3].is_nan(), "{y:?}");
        let mut d_x = unwritten(&device, 1, 9);
        device.max_pool2d_backward(&size, &to_activation(&device, &[1.0, 2.0, 4.0, 8.0], 4, 0.0), &choice, &mut d_x);
        assert_eq!(to_rows(&device, &d_x, 1, 9), [1.0, 0.0, 0.0, 0.0, 0.0, 10.0, 0.0, 4.0, 0.0]);
    }
}

/// y and d_x.
pub fn adaptive(device: &mut Cpu, size: &AdaptivePool2dSize, x: &[f32], d_y: &[f32]) -> [Vec<f32>; 2] {
    let in_features = size.channels * size.height * size.width;
    let out_features = size.channels * size.out_height * size.out_width;
    let mut y = unwritten(device, size.samples, out_features);
    let mut d_x = unwritten(device, size.samples, in_features);
    device.adaptive_average_pool2d_forward(size, &to_activation(device, x, in_features, 3.0), &mut y);
    device.adaptive_average_pool2d_backward(size, &to_activation(device, d_y, out_features, 0.0), &mut d_x);
    assert_padding_is_zero(device, "d_x", &d_x, size.samples, in_features);
    [to_rows(device, &y, size.samples, out_features), to_rows(device, &d_x, size.samples, in_features)]
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    for size in window_sizes() {
        let (in_features, out_features) = features(&size);
        let x = bits::rounding(size.samples * in_features, 1);
        let d_y = bits::rounding(size.samples * out_features, 2);
        for pooling in [Pooling::Max, Pooling::Average] {
            let name = format!("{pooling:?} {size:?}");
            bits::check(&name, |device| both_passes(device, pooling, &size, &x, &d_y).concat());
        }
    }
    for size in grid_sizes() {
        let x = bits::rounding(size.samples * size.channels * size.height * size.width, 1);
        let d_y = bits::rounding(size.samples * size.channels * size.out_height * size.out_width, 2);
        bits::check(&format!("{size:?}"), |device| adaptive(device, &size, &x, &d_y).concat());
    }
}

#[test]
#[should_panic(expected = "0×1 cells of 7×7 places")]
fn a_grid_without_cells_is_refused() {
    let size = AdaptivePool2dSize { samples: 1, channels: 1, height: 7, width: 7, out_height: 0, out_width: 1 };
    adaptive(&mut devices()[0], &size, &[0.0; 49], &[]);
}
