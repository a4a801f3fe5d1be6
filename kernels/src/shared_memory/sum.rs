//! Element-wise sums of f32 runs that are too long for the cache, and their bytes.
//!
//! Each output is one IEEE addition (or a fixed tree of three), so every instruction set gives the same bits;
//! wider vectors and stores that bypass the cache only save time.

use std::arch::x86_64::{
    __m256, __m512, _mm_sfence, _mm256_add_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_stream_ps, _mm512_add_ps,
    _mm512_loadu_ps, _mm512_storeu_ps, _mm512_stream_ps,
};

/// How results reach memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    /// Through the cache: the result is read soon.
    Cached,
    /// Past the cache, without reading the old contents first: the result is larger than the cache.
    Streaming,
}

/// `to = left + right`.
///
/// # Panics
/// If lengths differ.
pub fn add(to: &mut [f32], left: &[f32], right: &[f32], stores: Stores) {
    combine(to, [left, right], stores);
}

/// `to = from`.
///
/// # Panics
/// If lengths differ.
pub fn copy(to: &mut [f32], from: &[f32], stores: Stores) {
    combine(to, [from], stores);
}

/// `to = (a + b) + (c + d)`, in one pass.
///
/// # Panics
/// If lengths differ.
pub fn add_four(to: &mut [f32], from: [&[f32]; 4], stores: Stores) {
    combine(to, from, stores);
}

/// `sum += value`, element-wise.
///
/// # Panics
/// If lengths differ.
pub fn add_assign(sum: &mut [f32], value: &[f32]) {
    assert_eq!(sum.len(), value.len());
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { add_assign_avx2(sum, value) }
    } else {
        add_assign_plain(sum, value);
    }
}

#[inline(always)]
fn add_assign_plain(sum: &mut [f32], value: &[f32]) {
    sum.iter_mut().zip(value).for_each(|(sum, value)| *sum += value);
}

#[target_feature(enable = "avx2")]
fn add_assign_avx2(sum: &mut [f32], value: &[f32]) {
    add_assign_plain(sum, value);
}

fn combine<const N: usize>(to: &mut [f32], from: [&[f32]; N], stores: Stores) {
    assert!(from.iter().all(|run| run.len() == to.len()), "runs of different lengths");
    let streaming = stores == Stores::Streaming;
    // Up to the first 64-byte boundary of the output one by one: streaming stores must be aligned.
    let head = to.as_ptr().align_offset(64).min(to.len());
    let (first, to) = to.split_at_mut(head);
    combine_plain(first, from.map(|run| &run[..head]));
    let from = from.map(|run| &run[head..]);
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F; lengths are equal and `to` is aligned to 64 bytes, as required.
        unsafe { combine_avx512(to, from, streaming) }
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2; lengths are equal and `to` is aligned to 64 bytes, as required.
        unsafe { combine_avx2(to, from, streaming) }
    } else {
        combine_plain(to, from);
    }
}

fn combine_plain<const N: usize>(to: &mut [f32], from: [&[f32]; N]) {
    for (index, to) in to.iter_mut().enumerate() {
        *to = tree(from.map(|run| run[index]), |a, b| a + b);
    }
}

/// The fixed tree of 1, 2 or 4 values.
#[inline(always)]
fn tree<T: Copy, const N: usize>(values: [T; N], add: impl Fn(T, T) -> T) -> T {
    match N {
        1 => values[0],
        2 => add(values[0], values[1]),
        4 => add(add(values[0], values[1]), add(values[2], values[3])),
        _ => unreachable!("the callers above pass 1, 2 or 4 runs"),
    }
}

macro_rules! combine_wide {
    ($name:ident, $feature:literal, $vector:ty, $width:literal, $load:ident, $add:ident, $store:ident, $stream:ident) => {
        /// # Safety
        /// All runs as long as `to`, and `to` aligned to 64 bytes.
        #[target_feature(enable = $feature)]
        unsafe fn $name<const N: usize>(to: &mut [f32], from: [&[f32]; N], streaming: bool) {
            let wide = to.len() / $width * $width;
            let mut index = 0;
            while index < wide {
                // SAFETY: `index + width <= len` for all runs, which the caller made equally long.
                let values: [$vector; N] = from.map(|run| unsafe { $load(run.as_ptr().add(index)) });
                let sum = tree(values, |a, b| $add(a, b));
                // SAFETY: in bounds as above; aligned, as `to` is and `index` is a multiple of the width.
                unsafe {
                    let at = to.as_mut_ptr().add(index);
                    if streaming { $stream(at.cast(), sum) } else { $store(at, sum) }
                }
                index += $width;
            }
            if streaming {
                // Streaming stores are weakly ordered: the barrier's release store must not overtake them.
                _mm_sfence();
            }
            combine_plain(&mut to[wide..], from.map(|run| &run[wide..]));
        }
    };
}

combine_wide!(
    combine_avx512,
    "avx512f",
    __m512,
    16,
    _mm512_loadu_ps,
    _mm512_add_ps,
    _mm512_storeu_ps,
    _mm512_stream_ps
);
combine_wide!(combine_avx2, "avx2", __m256, 8, _mm256_loadu_ps, _mm256_add_ps, _mm256_storeu_ps, _mm256_stream_ps);

/// A number of which every bit pattern is a value, and which has no padding.
pub trait Plain: Copy + sealed::Sealed {}
impl Plain for f32 {}
impl Plain for u64 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u64 {}
}

/// The bytes of numbers, in this machine's (little-endian) order.
pub fn bytes<T: Plain>(numbers: &[T]) -> &[u8] {
    // SAFETY: plain numbers have no padding, bytes need no alignment, and the length is the numbers' size.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// The bytes of numbers, to be received into.
pub fn bytes_mut<T: Plain>(numbers: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and every pattern of bytes is a value of the number.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), size_of_val(numbers)) }
}
