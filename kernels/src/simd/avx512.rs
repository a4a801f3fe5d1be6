//! The virtual vector as one 512-bit register.

use std::arch::x86_64::*;

use super::{Half, Kernel, Pack, Register, Simd, WIDTH};

/// Proof that the CPU has AVX-512 F, BW, DQ and VL: made only by [`Avx512::detect`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        found.then_some(Avx512(()))
    }

    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn enter<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the CPU has the features.
        unsafe { enter(self, kernel) }
    }
}

/// An intrinsic that touches no memory.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: `self` proves that the CPU has the instruction, which touches no memory.
        unsafe { $call }
    };
}

impl Simd for Avx512 {
    type Vector = __m512;
    type Mask = __mmask16;
    type Register = Self;
    const MANY_REGISTERS: bool = true;

    #[inline(always)]
    fn register(self) -> Self {
        self
    }
    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        intrinsic!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    fn load(self, from: &Pack) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instruction; the array is 64 readable bytes.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, to: &mut Pack, value: __m512) {
        // SAFETY: `self` proves that the CPU has the instruction; the array is 64 writable bytes.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        intrinsic!(_mm512_sqrt_ps(a))
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        intrinsic!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        intrinsic!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
    }
    #[inline(always)]
    fn greater(self, a: __m512, b: __m512) -> __mmask16 {
        intrinsic!(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b))
    }
    #[inline(always)]
    fn equal(self, a: __m512, b: __m512) -> __mmask16 {
        intrinsic!(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b))
    }
    #[inline(always)]
    fn greater_or_unordered(self, a: __m512, b: __m512) -> __mmask16 {
        intrinsic!(_mm512_cmp_ps_mask::<_CMP_NLE_UQ>(a, b))
    }
    #[inline(always)]
    fn both(self, a: __mmask16, b: __mmask16) -> __mmask16 {
        a & b
    }
    #[inline(always)]
    fn select(self, mask: __mmask16, yes: __m512, no: __m512) -> __m512 {
        intrinsic!(_mm512_mask_blend_ps(mask, no, yes))
    }
    #[inline(always)]
    fn keep(self, mask: __mmask16, value: __m512) -> __m512 {
        intrinsic!(_mm512_maskz_mov_ps(mask, value))
    }
    #[inline(always)]
    fn bits_and(self, a: __m512, bits: u32) -> __m512 {
        intrinsic!(_mm512_and_ps(a, _mm512_castsi512_ps(_mm512_set1_epi32(bits as i32))))
    }
    #[inline(always)]
    fn bits_or(self, a: __m512, b: __m512) -> __m512 {
        intrinsic!(_mm512_or_ps(a, b))
    }
    #[inline(always)]
    fn bits_up_23(self, a: __m512) -> __m512 {
        intrinsic!(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a))))
    }
    #[inline(always)]
    fn bits_down_23(self, a: __m512) -> __m512 {
        intrinsic!(_mm512_castsi512_ps(_mm512_srli_epi32::<23>(_mm512_castps_si512(a))))
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; WIDTH]) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instructions; the array is 16 readable bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }
    #[inline(always)]
    fn store_bytes(self, to: &mut [u8; WIDTH], value: __m512) {
        // SAFETY: `self` proves that the CPU has the instructions; the array is 16 writable bytes.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(value))) }
    }
    #[inline(always)]
    fn test_bytes(self, from: &[u8; WIDTH], bits: u8) -> __mmask16 {
        // SAFETY: `self` proves that the CPU has the instructions; the array is 16 readable bytes.
        unsafe { _mm_test_epi8_mask(_mm_loadu_si128(from.as_ptr().cast()), _mm_set1_epi8(bits as i8)) }
    }
    #[inline(always)]
    fn transpose(self, rows: [__m512; WIDTH]) -> [__m512; WIDTH] {
        intrinsic!(transpose(rows))
    }
}

/// First 4×4 squares inside each 128-bit quarter, then the quarters themselves as a 4×4 square.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: [__m512; WIDTH]) -> [__m512; WIDTH] {
    let mut squares = [_mm512_setzero_ps(); WIDTH];
    for q in 0..4 {
        let [a, b, c, d] = [rows[4 * q], rows[4 * q + 1], rows[4 * q + 2], rows[4 * q + 3]];
        let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        squares[4 * q] = _mm512_shuffle_ps::<0x44>(ab_low, cd_low);
        squares[4 * q + 1] = _mm512_shuffle_ps::<0xee>(ab_low, cd_low);
        squares[4 * q + 2] = _mm512_shuffle_ps::<0x44>(ab_high, cd_high);
        squares[4 * q + 3] = _mm512_shuffle_ps::<0xee>(ab_high, cd_high);
    }
    let mut columns = [_mm512_setzero_ps(); WIDTH];
    for i in 0..4 {
        let [a, b, c, d] = [squares[i], squares[4 + i], squares[8 + i], squares[12 + i]];
        let (ab_low, ab_high) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
        let (cd_low, cd_high) = (_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
        columns[i] = _mm512_shuffle_f32x4::<0x88>(ab_low, cd_low);
        columns[4 + i] = _mm512_shuffle_f32x4::<0xdd>(ab_low, cd_low);
        columns[8 + i] = _mm512_shuffle_f32x4::<0x88>(ab_high, cd_high);
        columns[12 + i] = _mm512_shuffle_f32x4::<0xdd>(ab_high, cd_high);
    }
    columns
}

/// A register holds the whole pack.
impl Register for Avx512 {
    type Vector = __m512;
    const PARTS: usize = 1;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        Simd::splat(self, value)
    }
    #[inline(always)]
    fn load_part(self, from: &Pack, _part: usize) -> __m512 {
        Simd::load(self, from)
    }
    #[inline(always)]
    fn store_part(self, to: &mut Pack, _part: usize, value: __m512) {
        Simd::store(self, to, value);
    }
    #[inline(always)]
    fn prefetch(self, number: &f32) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(number).cast()));
    }
    #[inline(always)]
    fn load_half(self, from: &Half) -> __m512 {
        // SAFETY: `self` proves that the CPU has the instructions; the array is 32 readable bytes.
        unsafe { _mm512_zextps256_ps512(_mm256_loadu_ps(from.as_ptr())) }
    }
    #[inline(always)]
    fn store_half(self, to: &mut Half, value: __m512) {
        // SAFETY: `self` proves that the CPU has the instructions; the array is 32 writable bytes.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm512_castps512_ps256(value)) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        Simd::add(self, a, b)
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        Simd::sub(self, a, b)
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        Simd::mul(self, a, b)
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        Simd::fma(self, a, b, c)
    }
}
