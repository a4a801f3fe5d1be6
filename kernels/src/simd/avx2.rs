//! The virtual vector as two 256-bit registers.

use std::arch::x86_64::*;

use super::{Half, Kernel, Pack, Register, Simd, WIDTH};

/// Proof that the CPU has AVX2 and FMA: made only by [`Avx2::detect`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Avx2(()))
    }

    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn enter<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the CPU has the features.
        unsafe { enter(self, kernel) }
    }
}

/// Both halves through an intrinsic that touches no memory.
macro_rules! halves {
    ($i:ident => $call:expr) => {{
        // SAFETY: `self` proves that the CPU has the instruction, which touches no memory.
        unsafe {
            [
                {
                    let $i = 0;
                    $call
                },
                {
                    let $i = 1;
                    $call
                },
            ]
        }
    }};
}

type Halves = [__m256; 2];

impl Simd for Avx2 {
    type Vector = Halves;
    type Mask = Halves;
    type Register = Avx2Register;
    const MANY_REGISTERS: bool = false;

    #[inline(always)]
    fn register(self) -> Avx2Register {
        Avx2Register(())
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Halves {
        halves!(_i => _mm256_set1_ps(value))
    }
    #[inline(always)]
    fn load(self, from: &Pack) -> Halves {
        // SAFETY: `self` proves that the CPU has the instruction; the array is 64 readable bytes.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn store(self, to: &mut Pack, value: Halves) {
        let to = to.as_mut_ptr();
        // SAFETY: `self` proves that the CPU has the instruction; the array is 64 writable bytes.
        unsafe {
            _mm256_storeu_ps(to, value[0]);
            _mm256_storeu_ps(to.add(8), value[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_add_ps(a[i], b[i]))
    }
    #[inline(always)]
    fn sub(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_sub_ps(a[i], b[i]))
    }
    #[inline(always)]
    fn mul(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_mul_ps(a[i], b[i]))
    }
    #[inline(always)]
    fn div(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_div_ps(a[i], b[i]))
    }
    #[inline(always)]
    fn sqrt(self, a: Halves) -> Halves {
        halves!(i => _mm256_sqrt_ps(a[i]))
    }
    #[inline(always)]
    fn fma(self, a: Halves, b: Halves, c: Halves) -> Halves {
        halves!(i => _mm256_fmadd_ps(a[i], b[i], c[i]))
    }
    #[inline(always)]
    fn min(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_min_ps(a[i], b[i]))
    }
    #[inline(always)]
    fn max(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_max_ps(a[i], b[i]))
    }
    #[inline(always)]
    fn round(self, a: Halves) -> Halves {
        halves!(i => _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a[i]))
    }
    #[inline(always)]
    fn greater(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_cmp_ps::<_CMP_GT_OQ>(a[i], b[i]))
    }
    #[inline(always)]
    fn equal(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_cmp_ps::<_CMP_EQ_OQ>(a[i], b[i]))
    }
    #[inline(always)]
    fn greater_or_unordered(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_cmp_ps::<_CMP_NLE_UQ>(a[i], b[i]))
    }
    #[inline(always)]
    fn both(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_and_ps(a[i], b[i]))
    }
    #[inline(always)]
    fn select(self, mask: Halves, yes: Halves, no: Halves) -> Halves {
        halves!(i => _mm256_blendv_ps(no[i], yes[i], mask[i]))
    }
    #[inline(always)]
    fn keep(self, mask: Halves, value: Halves) -> Halves {
        halves!(i => _mm256_and_ps(mask[i], value[i]))
    }
    #[inline(always)]
    fn bits_and(self, a: Halves, bits: u32) -> Halves {
        halves!(i => _mm256_and_ps(a[i], _mm256_castsi256_ps(_mm256_set1_epi32(bits as i32))))
    }
    #[inline(always)]
    fn bits_or(self, a: Halves, b: Halves) -> Halves {
        halves!(i => _mm256_or_ps(a[i], b[i]))
    }
    #[inline(always)]
    fn bits_up_23(self, a: Halves) -> Halves {
        halves!(i => _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a[i]))))
    }
    #[inline(always)]
    fn bits_down_23(self, a: Halves) -> Halves {
        halves!(i => _mm256_castsi256_ps(_mm256_srli_epi32::<23>(_mm256_castps_si256(a[i]))))
    }
    #[inline(always)]
    fn load_bytes(self, from: &[u8; WIDTH]) -> Halves {
        let bytes = split_bytes(from);
        halves!(i => _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_set_epi64x(0, bytes[i]))))
    }
    #[inline(always)]
    fn store_bytes(self, to: &mut [u8; WIDTH], value: Halves) {
        let mut wide = [0.0; WIDTH];
        self.store(&mut wide, value);
        for (byte, value) in to.iter_mut().zip(wide) {
            *byte = value as u8;
        }
    }
    #[inline(always)]
    fn test_bytes(self, from: &[u8; WIDTH], bits: u8) -> Halves {
        let bytes = split_bytes(from);
        halves!(i => {
            let bits = _mm256_and_si256(_mm256_cvtepu8_epi32(_mm_set_epi64x(0, bytes[i])), _mm256_set1_epi32(bits.into()));
            _mm256_castsi256_ps(_mm256_cmpgt_epi32(bits, _mm256_setzero_si256()))
        })
    }
    #[inline(always)]
    fn transpose(self, rows: [Halves; WIDTH]) -> [Halves; WIDTH] {
        let mut columns = rows;
        for half in 0..2 {
            for block in 0..2 {
                let mut square = [rows[0][0]; 8];
                for i in 0..8 {
                    square[i] = rows[8 * block + i][half];
                }
                // SAFETY: `self` proves that the CPU has the instructions, which touch no memory.
                let square = unsafe { transpose_8x8(square) };
                for i in 0..8 {
                    columns[8 * half + i][block] = square[i];
                }
            }
        }
        columns
    }
}

#[inline(always)]
fn split_bytes(from: &[u8; WIDTH]) -> [i64; 2] {
    let all = u128::from_le_bytes(*from);
    [all as i64, (all >> 64) as i64]
}

/// First 4×4 squares inside each 128-bit half, then the halves themselves.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_8x8(rows: [__m256; 8]) -> [__m256; 8] {
    let mut squares = [_mm256_setzero_ps(); 8];
    for q in 0..2 {
        let [a, b, c, d] = [rows[4 * q], rows[4 * q + 1], rows[4 * q + 2], rows[4 * q + 3]];
        let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        squares[4 * q] = _mm256_shuffle_ps::<0x44>(ab_low, cd_low);
        squares[4 * q + 1] = _mm256_shuffle_ps::<0xee>(ab_low, cd_low);
        squares[4 * q + 2] = _mm256_shuffle_ps::<0x44>(ab_high, cd_high);
        squares[4 * q + 3] = _mm256_shuffle_ps::<0xee>(ab_high, cd_high);
    }
    let mut columns = [_mm256_setzero_ps(); 8];
    for i in 0..4 {
        columns[i] = _mm256_permute2f128_ps::<0x20>(squares[i], squares[4 + i]);
        columns[4 + i] = _mm256_permute2f128_ps::<0x31>(squares[i], squares[4 + i]);
    }
    columns
}

/// One 256-bit register at a time; made only from an [`Avx2`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2Register(());

/// An intrinsic that touches no memory.
macro_rules! intrinsic {
    ($call:expr) => {
        // SAFETY: `self` proves that the CPU has the instruction, which touches no memory.
        unsafe { $call }
    };
}

impl Register for Avx2Register {
    type Vector = __m256;
    const PARTS: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        intrinsic!(_mm256_set1_ps(value))
    }
    #[inline(always)]
    fn load_part(self, from: &Pack, part: usize) -> __m256 {
        self.load_half(&from.as_chunks().0[part])
    }
    #[inline(always)]
    fn store_part(self, to: &mut Pack, part: usize, value: __m256) {
        self.store_half(&mut to.as_chunks_mut().0[part], value);
    }
    #[inline(always)]
    fn prefetch(self, number: &f32) {
        intrinsic!(_mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(number).cast()));
    }
    #[inline(always)]
    fn load_half(self, from: &Half) -> __m256 {
        // SAFETY: `self` proves that the CPU has the instruction; the array is 32 readable bytes.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store_half(self, to: &mut Half, value: __m256) {
        // SAFETY: `self` proves that the CPU has the instruction; the array is 32 writable bytes.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        intrinsic!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        intrinsic!(_mm256_fmadd_ps(a, b, c))
    }
}
