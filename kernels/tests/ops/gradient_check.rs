//! The one check of gradients: what both passes of an op or a layer give, against its formula in f64 and the formula's
//! central differences.

use lockstep_kernels::cpu::Cpu;

use crate::layout::{assert_close, devices, wide};

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

/// The formula's value, then the gradients of `Σ y · d_y`, the scalar whose gradients a backward pass computes.
fn value_and_gradients<const N: usize>(
    rows: &[Vec<f32>; N],
    formula: impl Fn([&[f64]; N]) -> Vec<f64>,
) -> [Vec<f64>; N] {
    let rows = rows.each_ref().map(|row| wide(row));
    let d_y = &rows[N - 1];
    std::array::from_fn(|place| {
        if place == 0 {
            return formula(rows.each_ref().map(Vec::as_slice));
        }
        gradient(&rows[place - 1], |moved| {
            let mut operands = rows.each_ref().map(Vec::as_slice);
            operands[place - 1] = moved;
            formula(operands).iter().zip(d_y).map(|(y, d)| y * d).sum()
        })
    })
}

/// The gradient of `f` at `at` by central differences. Exact up to rounding where `f` is linear.
fn gradient(at: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut x = at.to_vec();
    let step = 1e-5;
    let slope = |i: usize| {
        let mut moved = |by: f64| {
            x[i] = at[i] + by;
            f(&x)
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        x[i] = at[i];
        slope
    };
    (0..at.len()).map(slope).collect()
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
