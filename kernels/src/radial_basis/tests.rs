//! Radial basis functions of LeNet-5, with the digits' bitmaps: bits, distances.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::radial_basis::digits::{HEIGHT, WIDTH, centres};
use lockstep_kernels::radial_basis::{RadialBasis, RadialBasisSize};

use crate::bits;
use crate::layout::{assert_padding_is_zero, devices, to_activation, to_rows, unwritten};

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
