//! The one check of ops, and what comes of it.

use lockstep_kernels::device::{Memory, Precision};

use crate::numbers::wide;

/// Of the largest magnitude: a value is rounded by up to 1/512 of itself, and some slopes are made of rounded values.
const BOUND_OF_BF16: f64 = 0.01;

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Op.
    pub op: &'static str,
    /// Its sizes and settings.
    pub case: String,
    /// What was compared: a value, or the gradient of an operand.
    pub part: String,
    /// Largest difference, over the largest magnitude expected; 0 where nothing differs.
    pub error: f64,
    /// What it may be.
    pub bound: f64,
    /// Whether a second computation gave the same bits.
    pub repeats: bool,
}

impl Check {
    /// Whether it is as it should be. An error that is no number is not.
    pub fn passed(&self) -> bool {
        self.error <= self.bound && self.repeats
    }
}

/// A device on the bench, and what was found so far.
pub struct Bench<'d, D: Memory> {
    /// The device.
    pub device: &'d mut D,
    /// What was compared.
    pub checks: Vec<Check>,
}

impl<'d, D: Memory> Bench<'d, D> {
    /// A bench with nothing compared.
    pub fn new(device: &'d mut D) -> Self {
        Self { device, checks: Vec::new() }
    }

    /// Operands as the device's activations hold them: an op is held against what it was given.
    pub fn held<const N: usize>(&self, rows: [Vec<f32>; N]) -> [Vec<f32>; N] {
        let precision = self.device.precision();
        rows.map(|row| row.into_iter().map(|x| precision.round(x)).collect())
    }

    /// A bound for values that may lie in activations, of one for f32.
    fn bound(&self, bound: f64) -> f64 {
        match self.device.precision() {
            Precision::F32 => bound,
            Precision::Bf16 => bound.max(BOUND_OF_BF16),
        }
    }

    /// Checks an op that has a way back.
    ///
    /// `rows`: its operands, activations as rows of samples, and last the gradient behind it. `formula` gives its value
    /// of the operands (it gets the gradient behind too, for nothing). `both_passes` gives its value and, in the
    /// operands' order, their gradients.
    pub fn gradient_check<const N: usize>(
        &mut self,
        (op, case): (&'static str, &str),
        rows: &[Vec<f32>; N],
        formula: impl Fn([&[f64]; N]) -> Vec<f64>,
        both_passes: impl Fn(&mut D, &[Vec<f32>; N]) -> [Vec<f32>; N],
        bound: f64,
    ) {
        let rows = &self.held(rows.clone());
        let expected = value_and_gradients(rows, formula);
        let found = both_passes(self.device, rows);
        let again = both_passes(self.device, rows);
        for (index, expected) in expected.iter().enumerate() {
            let part = if index == 0 { "value".into() } else { format!("gradient of operand {index}") };
            self.compare((op, case, &part), [&found[index], &again[index]], expected, bound);
        }
    }

    /// Compares what an op gave, in two computations, with what it should give.
    pub fn compare(
        &mut self,
        (op, case, part): (&'static str, &str, &str),
        [found, again]: [&[f32]; 2],
        expected: &[f64],
        bound: f64,
    ) {
        let repeats = bits(found) == bits(again);
        let (error, bound) = (relative_error(found, expected), self.bound(bound));
        self.checks.push(Check { op, case: case.into(), part: part.into(), error, bound, repeats });
    }
}

/// Largest difference over the largest magnitude expected. Infinite if the lengths differ.
pub fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let largest = expected.iter().fold(1e-30, |m: f64, x| m.max(x.abs()));
    // Not `max`, which would hide a NaN: once there, it stays.
    let worse = |worst: f64, (found, expected): (&f32, &f64)| {
        let error = (f64::from(*found) - expected).abs() / largest;
        if error > worst || error.is_nan() { error } else { worst }
    };
    found.iter().zip(expected).fold(0.0, worse)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// The formula's value, then the gradients of `Σ y · d_y`, the scalar whose gradients a backward pass computes.
pub fn value_and_gradients<const N: usize>(
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

#[cfg(test)]
mod tests {
    use lockstep_kernels::cpu::{Cpu, InstructionSet};

    use super::*;

    /// The check can fail: a gradient that is off by a thousandth, a value by a millionth, bits that change.
    #[test]
    fn what_is_wrong_is_seen() {
        let passed = |value: f32, gradient: f32, drift: f32| {
            let mut device = Cpu::new(InstructionSet::Portable);
            let mut bench = Bench::new(&mut device);
            let rows = [vec![0.5, -0.25], vec![1.0, 0.75]];
            let square = |[x, _]: [&[f64]; 2]| x.iter().map(|x| x * x).collect();
            let times = std::cell::Cell::new(0.0);
            let both_passes = |_: &mut Cpu, [x, d_y]: &[Vec<f32>; 2]| {
                times.set(times.get() + drift);
                let y = x.iter().map(|x| value * x * x + times.get()).collect();
                [y, x.iter().zip(d_y).map(|(x, d)| gradient * 2.0 * x * d).collect()]
            };
            bench.gradient_check(("square", "of two"), &rows, square, both_passes, 1e-6);
            bench.checks.iter().all(Check::passed)
        };
        assert!(passed(1.0, 1.0, 0.0));
        assert!(!passed(1.0, 1.001, 0.0));
        assert!(!passed(1.000_002, 1.0, 0.0));
        assert!(!passed(1.0, 1.0, 1e-7), "within the bound, but not the same bits");
    }

    #[test]
    fn a_nan_and_a_missing_value_are_errors() {
        assert!(relative_error(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert_eq!(relative_error(&[1.0], &[1.0, 1.0]), f64::INFINITY);
    }
}
