//! Functions of one f64: our own code, since the C library differs from machine to machine and what they give goes into
//! weights. They use only operations that IEEE 754 fixes to the last bit.

use std::f64::consts::{LN_2, LOG2_E, PI, SQRT_2};

/// ln 2 in two parts: 32 bits, so that products with exponents are exact, and the rest.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// xⁿ by repeated squaring: relative error below n · 2⁻⁵³.
pub fn power(x: f64, n: u64) -> f64 {
    let (mut product, mut square, mut rest) = (1.0, x, n);
    while rest > 0 {
        if rest & 1 == 1 {
            product *= square;
        }
        square *= square;
        rest >>= 1;
    }
    product
}

/// x^y for x from 0 and finite y, relative error below (2 + |y·ln x|) · 2⁻⁵²; whole exponents by [`power`].
pub fn power_of_real(x: f64, y: f64) -> f64 {
    if (0.0..1024.0).contains(&y) && y.trunc() == y {
        return power(x, y as u64);
    }
    if x == 0.0 { if y > 0.0 { 0.0 } else { f64::INFINITY } } else { exp(y * ln(x)) }
}

/// eˣ, relative error below 2⁻⁵¹ where the result is normal; 0 below, ∞ above.
pub fn exp(x: f64) -> f64 {
    if x > 709.0 {
        return if x > 709.8 { f64::INFINITY } else { exp(x - LN_2) * 2.0 };
    }
    if x < -708.0 {
        return 0.0;
    }
    let n = (x * LOG2_E).round_ties_even();
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    // Σ rᵏ/k! by Horner, |r| ≤ ln 2 / 2.
    let mut sum = 1.0;
    for k in (1..=13).rev() {
        sum = 1.0 + r * sum / f64::from(k);
    }
    sum * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

/// ln x of a normal x above 0, error below 2⁻⁵¹ · max(1, |ln x|); NaN for others.
pub fn ln(x: f64) -> f64 {
    if !(f64::MIN_POSITIVE..f64::INFINITY).contains(&x) {
        return f64::NAN;
    }
    let mut exponent = (x.to_bits() >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((x.to_bits() & ((1 << 52) - 1)) | 1023 << 52);
    if mantissa > SQRT_2 {
        (mantissa, exponent) = (mantissa * 0.5, exponent + 1);
    }
    // ln m = 2 artanh t = 2 Σ t²ᵏ⁺¹/(2k + 1), |t| ≤ 0.1716.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let mut sum = 0.0;
    for k in (0..=11).rev() {
        sum = sum * (t * t) + 1.0 / f64::from(2 * k + 1);
    }
    let exponent = exponent as f64;
    exponent * LN_2_HIGH + (2.0 * t * sum + exponent * LN_2_LOW)
}

/// cos(π·t) for t in [0, 1], absolute error below 1e-15.
pub fn cos_pi(t: f64) -> f64 {
    // cos(π t) = −cos(π (1 − t)) brings t to [0, ½]; there the series converges fast.
    if t > 0.5 {
        return -cos_pi(1.0 - t);
    }
    let angle = PI * t;
    let square = angle * angle;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=12 {
        term *= -square / f64::from((2 * n - 1) * (2 * n));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest difference from `exact`, in units of 2⁻⁵² of it.
    fn worst(xs: impl Iterator<Item = f64>, ours: impl Fn(f64) -> f64, exact: impl Fn(f64) -> f64) -> f64 {
        let error = |x: f64| (ours(x) - exact(x)).abs() / exact(x).abs().max(f64::MIN_POSITIVE) / f64::EPSILON;
        xs.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn exponentials_and_logarithms_are_accurate() {
        let spread = || (-7000..=7000).map(|i| f64::from(i) * 0.1009);
        assert!(worst(spread(), exp, f64::exp) < 2.0);
        assert_eq!((exp(-800.0), exp(800.0), exp(0.0)), (0.0, f64::INFINITY, 1.0));
        let spread = || (1..=20_000).map(|i| f64::from(i) * 0.000_37).chain([1e-300, 1e300, f64::MIN_POSITIVE]);
        for x in spread() {
            assert!((ln(x) - x.ln()).abs() < 2.0 * f64::EPSILON * x.ln().abs().max(1.0), "{x}");
        }
        assert_eq!(ln(1.0), 0.0);
        assert!([0.0, -1.0, f64::NAN, f64::INFINITY].into_iter().all(|x| ln(x).is_nan()));
    }

    #[test]
    fn powers_are_accurate() {
        for n in [0, 1, 2, 3, 10, 1000, 12_345] {
            assert!(worst([0.9, 0.999, 0.5].into_iter(), |x| power(x, n), |x| x.powi(n as i32)) < 1.0 + n as f64);
        }
        assert_eq!((power(0.5, 10), power(0.0, 0), power_of_real(0.0, 0.5)), (1.0 / 1024.0, 1.0, 0.0));
        for y in [0.5, 0.9, 2.0, 2.5, -0.75] {
            let spread = (1..=1000).map(|i| f64::from(i) / 1000.0);
            assert!(worst(spread, |x| power_of_real(x, y), |x| x.powf(y)) < 20.0, "{y}");
        }
    }

    #[test]
    fn cosine_is_accurate() {
        for i in 0..=1000 {
            let t = f64::from(i) / 1000.0;
            assert!((cos_pi(t) - (PI * t).cos()).abs() < 1e-15, "{t}");
        }
        assert_eq!((cos_pi(0.0), cos_pi(1.0)), (1.0, -1.0));
    }
}
