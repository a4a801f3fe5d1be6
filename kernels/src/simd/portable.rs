//! The virtual vector in plain Rust: the specification of the other two.

use super::{Half, Pack, Register, Simd, WIDTH};

/// Needs nothing of the CPU. A fused multiply-add is a call into the C library, which is slow and exact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

macro_rules! lanes {
    ($i:ident => $value:expr) => {{
        let mut out = [Default::default(); WIDTH];
        for $i in 0..WIDTH {
            out[$i] = $value;
        }
        out
    }};
}

impl Simd for Portable {
    type Vector = Pack;
    type Mask = [bool; WIDTH];
    type Register = Self;
    const MANY_REGISTERS: bool = false;

    #[inline(always)]
    fn register(self) -> Self {
        self
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Pack {
        [value; WIDTH]
    }
    #[inline(always)]
    fn load(self, from: &Pack) -> Pack {
        *from
    }
    #[inline(always)]
    fn store(self, to: &mut Pack, value: Pack) {
        *to = value;
    }
    #[inline(always)]
    fn add(self, a: Pack, b: Pack) -> Pack {
        lanes!(i => a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Pack, b: Pack) -> Pack {
        lanes!(i => a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Pack, b: Pack) -> Pack {
        lanes!(i => a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Pack, b: Pack) -> Pack {
        lanes!(i => a[i] / b[i])
    }
    #[inline(always)]
    fn sqrt(self, a: Pack) -> Pack {
        lanes!(i => a[i].sqrt())
    }
    #[inline(always)]
    fn fma(self, a: Pack, b: Pack, c: Pack) -> Pack {
        lanes!(i => a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    fn min(self, a: Pack, b: Pack) -> Pack {
        lanes!(i => if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn max(self, a: Pack, b: Pack) -> Pack {
        lanes!(i => if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn round(self, a: Pack) -> Pack {
        lanes!(i => a[i].round_ties_even())
    }
    #[inline(always)]
    fn greater(self, a: Pack, b: Pack) -> Self::Mask {
        lanes!(i => a[i] > b[i])
    }
    #[inline(always)]
    fn equal(self, a: Pack, b: Pack) -> Self::Mask {
        lanes!(i => a[i] == b[i])
    }
    #[inline(always)]
    fn greater_or_unordered(self, a: Pack, b: Pack) -> Self::Mask {
        lanes!(i => a[i] > b[i] || a[i].is_nan() || b[i].is_nan())
    }
    #[inline(always)]
    fn both(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        lanes!(i => a[i] & b[i])
    }
    #[inline(always)]
    fn select(self, mask: Self::Mask, yes: Pack, no: Pack) -> Pack {
        lanes!(i => if mask[i] { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn keep(self, mask: Self::Mask, value: Pack) -> Pack {
        lanes!(i => if mask[i] { value[i] } else { 0.0 })
    }
    #[inline(always)]
    fn bits_and(self, a: Pack, bits: u32) -> Pack {
        lanes!(i => f32::from_bits(a[i].to_bits() & bits))
    }
    #[inline(always)]
    fn bits_or(self, a: Pack, b: Pack) -> Pack {
        lanes!(i => f32::from_bits(a[i].to_bits() | b[i].to_bits()))
    }
    #[inline(always)]
    fn bits_up_23(self, a: Pack) -> Pack {
        lanes!(i => f32::from_bits(a[i].to_bits() << 23))
    }
    #[inline(always)]
    fn bits_down_23(self, a: Pack) -> Pack {
        lanes!(i => f32::from_bits(a[i].to_bits() >> 23))
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; WIDTH]) -> Pack {
        lanes!(i => f32::from(from[i]))
    }
    #[inline(always)]
    fn store_bytes(self, to: &mut [u8; WIDTH], value: Pack) {
        *to = lanes!(i => value[i] as u8);
    }
    #[inline(always)]
    fn test_bytes(self, from: &[u8; WIDTH], bits: u8) -> Self::Mask {
        lanes!(i => from[i] & bits != 0)
    }
    #[inline(always)]
    fn transpose(self, rows: [Pack; WIDTH]) -> [Pack; WIDTH] {
        let mut columns = [[0.0; WIDTH]; WIDTH];
        for (i, row) in rows.iter().enumerate() {
            for (column, value) in columns.iter_mut().zip(row) {
                column[i] = *value;
            }
        }
        columns
    }
}

/// A register holds the whole pack.
impl Register for Portable {
    type Vector = Pack;
    const PARTS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> Pack {
        Simd::splat(self, value)
    }
    #[inline(always)]
    fn load_part(self, from: &Pack, _part: usize) -> Pack {
        Simd::load(self, from)
    }
    #[inline(always)]
    fn store_part(self, to: &mut Pack, _part: usize, value: Pack) {
        Simd::store(self, to, value);
    }
    #[inline(always)]
    fn prefetch(self, _number: &f32) {}
    #[inline(always)]
    fn load_half(self, from: &Half) -> Pack {
        lanes!(i => from.get(i).copied().unwrap_or(0.0))
    }
    #[inline(always)]
    fn store_half(self, to: &mut Half, value: Pack) {
        to.copy_from_slice(&value[..WIDTH / 2]);
    }
    #[inline(always)]
    fn add(self, a: Pack, b: Pack) -> Pack {
        Simd::add(self, a, b)
    }
    #[inline(always)]
    fn sub(self, a: Pack, b: Pack) -> Pack {
        Simd::sub(self, a, b)
    }
    #[inline(always)]
    fn mul(self, a: Pack, b: Pack) -> Pack {
        Simd::mul(self, a, b)
    }
    #[inline(always)]
    fn fma(self, a: Pack, b: Pack, c: Pack) -> Pack {
        Simd::fma(self, a, b, c)
    }
}
