//! Sums over long vectors, in f64 and in a fixed order: eight sums side by side, added pairwise at the end.

/// Sums side by side: as many as hide the latency of an addition.
const SUMS: usize = 8;

/// Σ a·b.
///
/// # Panics
/// If lengths differ.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let mut sums = [0.0; SUMS];
    let (a, a_rest) = a.as_chunks::<SUMS>();
    let (b, b_rest) = b.as_chunks::<SUMS>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..SUMS {
            sums[i] += a[i] * b[i];
        }
    }
    a_rest.iter().zip(b_rest).zip(&mut sums).for_each(|((a, b), sum)| *sum += a * b);
    total(sums)
}

/// The same of a vector in f32.
///
/// # Panics
/// If lengths differ.
pub fn dot_f32(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let mut sums = [0.0; SUMS];
    let (a, a_rest) = a.as_chunks::<SUMS>();
    let (b, b_rest) = b.as_chunks::<SUMS>();
    for (a, b) in a.iter().zip(b) {
        for i in 0..SUMS {
            sums[i] += f64::from(a[i]) * b[i];
        }
    }
    a_rest.iter().zip(b_rest).zip(&mut sums).for_each(|((a, b), sum)| *sum += f64::from(*a) * b);
    total(sums)
}

/// The square root of Σ x².
pub fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// `to += factor · x`.
///
/// # Panics
/// If lengths differ.
pub fn add_f32(factor: f64, x: &[f32], to: &mut [f64]) {
    assert_eq!(x.len(), to.len());
    to.iter_mut().zip(x).for_each(|(to, x)| *to += factor * f64::from(*x));
}

/// Vectors that [`dots_f32`] and [`add_all_f32`] take at once, so that what they have in common is loaded once.
pub(crate) const ABREAST: usize = 4;

/// [`dot_f32`] of several vectors with one, each as four sums side by side.
pub(crate) fn dots_f32(a: [&[f32]; ABREAST], b: &[f64]) -> [f64; ABREAST] {
    let a = a.map(|a| a[..b.len()].as_chunks::<4>());
    let (b, b_rest) = b.as_chunks::<4>();
    let mut sums = [[0.0; 4]; ABREAST];
    for (i, b) in b.iter().enumerate() {
        for (sums, (a, _)) in sums.iter_mut().zip(&a) {
            for k in 0..4 {
                sums[k] += f64::from(a[i][k]) * b[k];
            }
        }
    }
    for (sums, (_, rest)) in sums.iter_mut().zip(&a) {
        rest.iter().zip(b_rest).zip(sums).for_each(|((a, b), sum)| *sum += f64::from(*a) * b);
    }
    sums.map(|s| (s[0] + s[2]) + (s[1] + s[3]))
}

/// `to += Σ factor · x` over several vectors, added pairwise.
pub(crate) fn add_all_f32(factors: [f64; ABREAST], x: [&[f32]; ABREAST], to: &mut [f64]) {
    let [x0, x1, x2, x3] = x.map(|x| &x[..to.len()]);
    for (i, to) in to.iter_mut().enumerate() {
        let first = factors[0] * f64::from(x0[i]) + factors[1] * f64::from(x1[i]);
        *to += first + (factors[2] * f64::from(x2[i]) + factors[3] * f64::from(x3[i]));
    }
}

fn total(s: [f64; SUMS]) -> f64 {
    ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

/// The length of a vector of two, without overflow on the way.
pub(crate) fn length(a: f64, b: f64) -> f64 {
    let (a, b) = (a.abs(), b.abs());
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    if large == 0.0 {
        return 0.0;
    }
    let ratio = small / large;
    large * (1.0 + ratio * ratio).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_all_elements() {
        for len in [0, 1, 7, 8, 9, 1000] {
            let x: Vec<f64> = (0..len).map(|i| f64::from(i) - 3.0).collect();
            let narrow: Vec<f32> = x.iter().map(|x| *x as f32).collect();
            let squares: f64 = x.iter().map(|x| x * x).sum();
            assert_eq!((dot(&x, &x), dot_f32(&narrow, &x), norm(&x)), (squares, squares, squares.sqrt()));
            let mut y = x.clone();
            add_f32(-1.0, &narrow, &mut y);
            assert!(y.iter().all(|y| *y == 0.0));
            let abreast = [&narrow[..], &narrow, &narrow, &narrow];
            assert_eq!(dots_f32(abreast, &x), [squares; ABREAST]);
            add_all_f32([1.0, -2.0, 3.0, 0.5], abreast, &mut y);
            assert!(y.iter().zip(&x).all(|(y, x)| *y == 2.5 * x));
        }
    }

    #[test]
    fn lengths_do_not_overflow() {
        assert_eq!((length(3.0, -4.0), length(0.0, 0.0), length(-2.0, 0.0)), (5.0, 0.0, 2.0));
        assert!((length(3e200, 4e200) / 5e200 - 1.0).abs() < 1e-15);
    }
}
