//! Trainable sub-sampling of LeNet-5: bits.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::subsample2d::{Subsample2d, Subsample2dSize};

use crate::bits;
use crate::layout::{assert_padding_is_zero, to_activation, to_rows, unwritten};

/// y, d_x, d_weight, d_bias, of x, weight, bias, d_y.
pub fn subsample2d(device: &mut Cpu, size: &Subsample2dSize, [x, weight, bias, d_y]: &[Vec<f32>; 4]) -> [Vec<f32>; 4] {
    let in_features = size.channels * size.height * size.width;
    let out_features = size.channels * size.out_height() * size.out_width();
    let (x, d_y) = (to_activation(device, x, in_features, 3.0), to_activation(device, d_y, out_features, 0.0));
    let mut y = unwritten(device, size.samples, out_features);
    let mut d_x = unwritten(device, size.samples, in_features);
    let (mut d_weight, mut d_bias) = (vec![7.0; size.channels], vec![7.0; size.channels]);
    device.subsample2d_forward(size, &x, weight, bias, &mut y);
    device.subsample2d_backward_input(size, weight, &d_y, &mut d_x);
    device.subsample2d_backward_weight(size, &x, &d_y, &mut d_weight, &mut d_bias);
    assert_padding_is_zero(device, "d_x", &d_x, size.samples, in_features);
    [
        to_rows(device, &y, size.samples, out_features),
        to_rows(device, &d_x, size.samples, in_features),
        d_weight,
        d_bias,
    ]
}

pub fn subsamplings() -> [Subsample2dSize; 4] {
    let size = |[samples, channels, height, width]: [usize; 4]| Subsample2dSize { samples, channels, height, width };
    [[1, 1, 2, 2], [3, 2, 4, 6], [17, 3, 5, 7], [2, 1, 10, 10]].map(size)
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    for size in subsamplings() {
        let Subsample2dSize { samples, channels, height, width } = size;
        let (inside, outside) = (channels * height * width, channels * size.out_height() * size.out_width());
        let lengths = [samples * inside, channels, channels, samples * outside];
        let rows = [0, 1, 2, 3].map(|i| bits::rounding(lengths[i], i + 1));
        bits::check(&format!("{size:?}"), |device| subsample2d(device, &size, &rows).concat());
    }
}
