//! The one check of gradients: what both passes of an op or a layer give, against its formula in f64 and the formula's
//! central differences.

use lockstep_kernels::cpu::Cpu;
use lockstep_selftest::check::value_and_gradients;

use crate::layout::{assert_close, devices};

/// Checks an op with every instruction set.
///
/// `rows`: its operands, activations as rows of samples, and last the gradient behind it. `formula` gives its value of
/// the operands (it gets the gradient behind too, for nothing). `both_passes` gives its value and, in the operands'
/// order, their gradients.
///
/// # Panics
/// If a value or a gradient differs by more than `tolerance` × the largest magnitude expected.
#[track_caller]
pub fn gradient_check<const N: usize>(
    name: &str,
    rows: &[Vec<f32>; N],
    formula: impl Fn([&[f64]; N]) -> Vec<f64>,
    both_passes: impl Fn(&mut Cpu, &[Vec<f32>; N]) -> [Vec<f32>; N],
    tolerance: f64,
) {
    let expected = value_and_gradients(rows, formula);
    for mut device in devices() {
        let found = both_passes(&mut device, rows);
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let part = if index == 0 { "value".into() } else { format!("gradient of operand {index}") };
            assert_close(&format!("{name} {} {part}", device.instruction_set()), found, expected, tolerance);
        }
    }
}

/// The check can fail: a gradient that is off by a thousandth, a value by a millionth.
#[test]
fn a_wrong_gradient_is_seen() {
    let wrong = |value: f32, gradient: f32| {
        std::panic::catch_unwind(|| {
            let rows = [vec![0.5, -0.25], vec![1.0, 0.75]];
            let square = |[x, _]: [&[f64]; 2]| x.iter().map(|x| x * x).collect();
            let both_passes = |_: &mut Cpu, [x, d_y]: &[Vec<f32>; 2]| {
                let y = x.iter().map(|x| value * x * x).collect();
                [y, x.iter().zip(d_y).map(|(x, d)| gradient * 2.0 * x * d).collect()]
            };
            gradient_check("square", &rows, square, both_passes, 1e-6);
        })
        .is_err()
    };
    assert!(!wrong(1.0, 1.0) && wrong(1.0, 1.001) && wrong(1.000_002, 1.0));
}
