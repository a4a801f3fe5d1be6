//! Numbers for operands.

/// Number `i` of a sequence: multiples of 1/512 in [−0.98, 0.98), exact in every format and easily made in Python.
pub fn number(i: usize, seed: usize) -> f32 {
    ((i * 7919 + seed * 104_729) % 1009) as f32 / 512.0 - 504.0 / 512.0
}

/// The first of them.
pub fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| number(i, seed)).collect()
}

/// Operands of these lengths, the last by convention the gradient behind the op.
pub fn rows<const N: usize>(lengths: [usize; N]) -> [Vec<f32>; N] {
    std::array::from_fn(|i| numbers(lengths[i], i + 1))
}

/// The first operand of larger numbers.
pub fn stretched<const N: usize>(factor: f32, mut rows: [Vec<f32>; N]) -> [Vec<f32>; N] {
    rows[0].iter_mut().for_each(|x| *x *= factor);
    rows
}

/// In f64.
pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

/// Numbers whose sums have to be rounded, as those of [`numbers`] hardly ever have.
pub fn thirds(row: Vec<f32>) -> Vec<f32> {
    row.into_iter().map(|x| x / 3.0).collect()
}
