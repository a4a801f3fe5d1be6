//! What a kernel is started with.

use super::buffer::{View, ViewMut};
use super::scratch::Part;

/// Threads of a block where a kernel has no reason for another number.
pub(crate) const THREADS: u32 = 256;
/// Threads of a warp.
pub(crate) const WARP: usize = 32;

/// Blocks and threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub blocks: [u32; 3],
    pub threads: u32,
}

impl Grid {
    /// A thread for each of `len` elements.
    pub fn elements(len: usize) -> Self {
        Self::blocks([len.div_ceil(THREADS as usize), 1, 1])
    }

    /// So many blocks of [`THREADS`] threads. None are started if a number is 0.
    pub fn blocks(blocks: [usize; 3]) -> Self {
        Self { blocks: blocks.map(narrow), threads: THREADS }
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.contains(&0)
    }
}

/// A kernel counts in 32 bits.
///
/// # Panics
/// If a number has more: it would be of an array of 16 GB.
#[track_caller]
pub(crate) fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or_else(|_| panic!("{number} elements are more than a kernel can count"))
}

/// Most words of an argument.
const WORDS: usize = 16;

/// One argument: a pointer, a number, or a structure of 32-bit numbers.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Argument {
    words: [u32; WORDS],
    bytes: usize,
}

impl Argument {
    /// Bytes that the kernel takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn new(from: &[u32]) -> Self {
        let mut words = [0; WORDS];
        words[..from.len()].copy_from_slice(from);
        Self { words, bytes: size_of_val(from) }
    }

    fn address(address: u64) -> Self {
        Self::new(&[address as u32, (address >> 32) as u32])
    }
}

impl<T> From<View<'_, T>> for Argument {
    fn from(view: View<'_, T>) -> Self {
        Self::address(view.address())
    }
}

impl<T> From<&ViewMut<'_, T>> for Argument {
    fn from(view: &ViewMut<'_, T>) -> Self {
        Self::address(view.address())
    }
}

/// Null for none.
impl<T> From<Option<View<'_, T>>> for Argument {
    fn from(view: Option<View<'_, T>>) -> Self {
        Self::address(view.map_or(0, |view| view.address()))
    }
}

/// Null for none.
impl<T> From<Option<&ViewMut<'_, T>>> for Argument {
    fn from(view: Option<&ViewMut<'_, T>>) -> Self {
        Self::address(view.map_or(0, ViewMut::address))
    }
}

impl From<Part> for Argument {
    fn from(part: Part) -> Self {
        Self::address(part.address())
    }
}

/// A count, `u32` in the kernel.
impl From<usize> for Argument {
    #[track_caller]
    fn from(number: usize) -> Self {
        Self::new(&[narrow(number)])
    }
}

impl From<u32> for Argument {
    fn from(number: u32) -> Self {
        Self::new(&[number])
    }
}

impl From<f32> for Argument {
    fn from(number: f32) -> Self {
        Self::new(&[number.to_bits()])
    }
}

/// `bool` in the kernel is a `u32`.
impl From<bool> for Argument {
    fn from(flag: bool) -> Self {
        Self::new(&[flag.into()])
    }
}

/// A structure of counts.
impl<const N: usize> From<[usize; N]> for Argument {
    #[track_caller]
    fn from(numbers: [usize; N]) -> Self {
        Self::new(&numbers.map(narrow))
    }
}

/// A structure of words: counts, flags, and the bits of numbers.
impl<const N: usize> From<[u32; N]> for Argument {
    fn from(words: [u32; N]) -> Self {
        Self::new(&words)
    }
}
