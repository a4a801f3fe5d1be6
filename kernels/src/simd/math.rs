//! Transcendental functions over the virtual vector: our own code, so that a host's C library cannot change a bit.
//!
//! Coefficients are minimax fits (Lawson's iteration on Chebyshev nodes) of the named remainder on the named range.
//! The stated errors are the largest found by the sweeps in `tests.rs`, against f64.

use super::Simd;

/// ln 2 in two parts: 15 bits after the point, so that products with |n| < 512 are exact, and the rest.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// `(e^r − 1 − r) / r²` on ±ln 2 / 2, lowest power first.
const EXP: [f32; 6] = [0.5, 0.166_666_67, 0.041_666_27, 0.008_333_265, 0.001_394_619, 0.000_199_179_73];
/// `(tanh x − x) / x³` as a polynomial in x², on ±0.625.
const TANH: [f32; 6] = [-0.333_333_3, 0.133_332_1, -0.053_947_203, 0.021_702_968, -0.008_182_674, 0.002_147_537];
/// `(ln((1 + s) / (1 − s)) − 2s) / s³` as a polynomial in s², on ±0.1716.
const LOG: [f32; 4] = [0.666_666_6, 0.400_003_37, 0.285_371_57, 0.235_851_76];

#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::Vector, coefficients: [f32; N]) -> S::Vector {
    let mut sum = s.splat(coefficients[N - 1]);
    for i in (0..N - 1).rev() {
        sum = s.fma(sum, x, s.splat(coefficients[i]));
    }
    sum
}

/// `2^n` for integers n in [−126, 127].
#[inline(always)]
fn power_of_two<S: Simd>(s: S, n: S::Vector) -> S::Vector {
    // Adding 1.5 · 2²³ leaves n + 127 in the low bits of the mantissa.
    s.bits_up_23(s.add(n, s.splat(12_582_912.0 + 127.0)))
}

/// `e^x`, within 1.1 ulp where the result is normal, one unit of the smallest number below; 0 and ∞ at the ends.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    // The bound comes first: min and max then keep a NaN.
    let x = s.max(s.splat(-104.0), s.min(s.splat(89.0), x));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fma(n, s.splat(-LN_2_HIGH), x);
    let r = s.fma(n, s.splat(-LN_2_LOW), r);
    let q = polynomial(s, r, EXP);
    let y = s.add(s.fma(s.mul(r, r), q, r), s.splat(1.0));
    // In two steps: n reaches −150 and 128. Only the second can round, at a subnormal result.
    let half = s.round(s.mul(n, s.splat(0.5)));
    s.mul(s.mul(y, power_of_two(s, half)), power_of_two(s, s.sub(n, half)))
}

/// `1 / (1 + e^−x)`, within 2.5 ulp where the result is normal.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let zero = s.splat(0.0);
    let one = s.splat(1.0);
    // e^−|x| never overflows, so both tails keep their digits.
    let e = exp(s, s.min(x, s.sub(zero, x)));
    s.div(s.select(s.greater(zero, x), e, one), s.add(one, e))
}

/// `tanh x`, within 1.6 ulp.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let zero = s.splat(0.0);
    let one = s.splat(1.0);
    let magnitude = s.max(s.sub(zero, x), x);
    let square = s.mul(x, x);
    let small = s.fma(s.mul(square, polynomial(s, square, TANH)), x, x);
    let e = exp(s, s.add(magnitude, magnitude));
    let large = s.sub(one, s.div(s.splat(2.0), s.add(e, one)));
    let large = s.select(s.greater(zero, x), s.sub(zero, large), large);
    s.select(s.greater(magnitude, s.splat(0.625)), large, small)
}

/// `ln x`, within 1.2 ulp; −∞ at 0, NaN below.
#[inline(always)]
pub(crate) fn log<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let zero = s.splat(0.0);
    let one = s.splat(1.0);
    let subnormal = s.greater(s.splat(f32::MIN_POSITIVE), x);
    let normal = s.select(subnormal, s.mul(x, s.splat(8_388_608.0)), x);
    let bias = s.select(subnormal, s.splat(-(127.0 + 23.0)), s.splat(-127.0));
    // The exponent's bits below 2²³ make the number 2²³ + exponent.
    let two_23 = s.splat(8_388_608.0);
    let exponent = s.add(s.sub(s.bits_or(s.bits_down_23(normal), two_23), two_23), bias);
    let mantissa = s.bits_or(s.bits_and(normal, 0x007f_ffff), one);
    let high = s.greater(mantissa, s.splat(std::f32::consts::SQRT_2));
    let mantissa = s.select(high, s.mul(mantissa, s.splat(0.5)), mantissa);
    let exponent = s.select(high, s.add(exponent, one), exponent);
    let f = s.sub(mantissa, one);
    let t = s.div(f, s.add(f, s.splat(2.0)));
    let z = s.mul(t, t);
    let rest = s.sub(f, s.mul(z, polynomial(s, z, LOG)));
    let correction = s.sub(s.mul(t, rest), s.mul(exponent, s.splat(LN_2_LOW)));
    let y = s.fma(exponent, s.splat(LN_2_HIGH), s.sub(f, correction));
    let y = s.select(s.greater(x, s.splat(f32::MAX)), x, y);
    let y = s.select(s.equal(x, zero), s.splat(f32::NEG_INFINITY), y);
    let positive_or_nan = s.select(s.greater(zero, x), s.splat(f32::NAN), y);
    s.select(s.equal(x, x), positive_or_nan, x)
}

/// `ln(1 + e^x)`, within 3 ulp where the result is normal.
#[inline(always)]
pub(crate) fn softplus<S: Simd>(s: S, x: S::Vector) -> S::Vector {
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    // e^−|x| never overflows, and x > 0 is added behind the logarithm.
    let e = exp(s, s.min(x, s.sub(zero, x)));
    // ln(1 + e) from the logarithm of the rounded 1 + e, put right by how far that is from 1 (Kahan).
    let sum = s.add(one, e);
    let distance = s.sub(sum, one);
    let scaled = s.div(s.mul(log(s, sum), e), distance);
    let tail = s.select(s.greater(distance, zero), scaled, e);
    s.add(s.max(zero, x), tail)
}
