//! Numbers for operands.

/// Number `i` of a sequence: multiples of 1/512 in [−0.98, 0.98), exact in every format and easily made in Python.
pub fn number(i: usize, seed: usize) -> f32 {
    ((i * 7919 + seed * 104_729) % 1009) as f32 / 512.0 - 504.0 / 512.0
}

/// The first of them.
pub fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| number(i, seed)).collect()
}

/// Numbers in [−1, 1) without a pattern, whose products and sums are rounded: SplitMix64.
pub fn noise(len: usize, seed: u64) -> Vec<f32> {
    let number = |i: u64| {
        let mut z = (i + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len as u64).map(number).collect()
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
