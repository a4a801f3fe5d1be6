//! LeNet-5's own ops: trainable sub-sampling and radial basis functions with the digits' bitmaps.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::radial_basis::digits::{HEIGHT, WIDTH, centres};
use lockstep_kernels::radial_basis::{RadialBasis, RadialBasisSize};
use lockstep_kernels::subsample2d::{Subsample2d, Subsample2dSize};

use crate::bits;
use crate::layout::{assert_padding_is_zero, devices, to_activation, to_rows, unwritten};

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

/// y and d_x.
pub fn radial_basis(
    device: &mut Cpu,
    size: &RadialBasisSize,
    x: &[f32],
    centres: &[f32],
    d_y: &[f32],
) -> [Vec<f32>; 2] {
    let RadialBasisSize { samples, inputs, outputs } = *size;
    let (x, d_y) = (to_activation(device, x, inputs, 3.0), to_activation(device, d_y, outputs, 0.0));
    let (mut y, mut d_x) = (unwritten(device, samples, outputs), unwritten(device, samples, inputs));
    device.radial_basis_forward(size, &x, centres, &mut y);
    device.radial_basis_backward_input(size, &x, centres, &d_y, &mut d_x);
    assert_padding_is_zero(device, "d_x", &d_x, samples, inputs);
    [to_rows(device, &y, samples, outputs), to_rows(device, &d_x, samples, inputs)]
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
    let size = RadialBasisSize { samples: 33, inputs: 84, outputs: 10 };
    let (x, d_y) = (bits::rounding(33 * 84, 1), bits::rounding(330, 2));
    bits::check("radial basis", |device| radial_basis(device, &size, &x, centres().as_flattened(), &d_y).concat());
}

/// Any two differ in at least 12 of the 84 pixels, which is a distance of 48.
#[test]
fn the_digits_differ() {
    let centres = centres();
    assert_eq!(centres[0].len(), WIDTH * HEIGHT);
    for (i, a) in centres.iter().enumerate() {
        assert!(a.iter().all(|x| x.abs() == 1.0));
        for b in &centres[..i] {
            let different = a.iter().zip(b).filter(|(a, b)| a != b).count();
            assert!(different >= 12, "digit {i} differs from another in {different} pixels alone");
        }
    }
    let size = RadialBasisSize { samples: 10, inputs: 84, outputs: 10 };
    for mut device in devices() {
        let flat = centres.as_flattened();
        let [y, _] = radial_basis(&mut device, &size, flat, flat, &[0.0; 100]);
        for (digit, y) in y.chunks(10).enumerate() {
            assert!((0..10).all(|other| if other == digit { y[other] == 0.0 } else { y[other] > 47.0 }), "{y:?}");
        }
    }
}
