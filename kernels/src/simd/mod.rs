//! A virtual vector of 16 f32 numbers, written once and run with AVX-512, AVX2 or plain Rust.
//!
//! Kernels are generic over `Simd` and entered through `Isa::run`, which compiles them once for each instruction
//! set. The lane operations are IEEE-exact and kernels order them without regard to the instruction set,
//! so **all three give the same bits**. Denormal numbers are kept.

mod avx2;
mod avx512;
mod instruction_set;
pub(crate) mod math;
pub mod peak;
mod portable;
pub(crate) mod sums;
#[cfg(test)]
mod tests;

pub use instruction_set::{InstructionSet, UnknownInstructionSet};

use avx2::Avx2;
use avx512::Avx512;
use portable::Portable;

/// Numbers in a virtual vector; also the samples that one activation vector holds.
pub const WIDTH: usize = 16;

/// Numbers of half a virtual vector.
pub(crate) const HALF: usize = WIDTH / 2;

/// Memory of one virtual vector: one feature of 16 samples, or 16 neighbours of a row.
pub(crate) type Pack = [f32; WIDTH];

/// The operations of a virtual vector. A value of the type proves that the CPU has the instructions.
///
/// Comparisons are false where an operand is a NaN. Every method is exact or rounds once, to nearest, ties to even.
pub(crate) trait Simd: Copy {
    /// 16 numbers.
    type Vector: Copy;
    /// 16 truth values.
    type Mask: Copy;
    /// The registers that a vector consists of.
    type Register: Register;
    /// Whether the register file holds 32 virtual vectors (else about 8): larger blocks pay.
    const MANY_REGISTERS: bool;

    /// Arithmetic on single registers.
    fn register(self) -> Self::Register;
    fn splat(self, value: f32) -> Self::Vector;
    fn load(self, from: &Pack) -> Self::Vector;
    fn store(self, to: &mut Pack, value: Self::Vector);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// √a, rounded once; NaN below 0.
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `a · b + c`, rounded once.
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `a < b ? a : b`: `b` where one is a NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a > b ? a : b`: `b` where one is a NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The nearest integer, ties to even.
    fn round(self, a: Self::Vector) -> Self::Vector;
    fn greater(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    fn equal(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// `a > b`, or one of them is a NaN.
    fn greater_or_unordered(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    fn both(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn select(self, mask: Self::Mask, yes: Self::Vector, no: Self::Vector) -> Self::Vector;
    /// `value` where the mask is true, else 0.
    fn keep(self, mask: Self::Mask, value: Self::Vector) -> Self::Vector;
    /// The bits of `a` that `bits` has.
    fn bits_and(self, a: Self::Vector, bits: u32) -> Self::Vector;
    /// The bits of `a` and of `b`.
    fn bits_or(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The bits moved up by 23: an integer's low bits become an exponent.
    fn bits_up_23(self, a: Self::Vector) -> Self::Vector;
    /// The bits moved down by 23: sign and exponent become an integer's low bits.
    fn bits_down_23(self, a: Self::Vector) -> Self::Vector;
    /// 16 bytes as numbers.
    fn load_bytes(self, from: &[u8; WIDTH]) -> Self::Vector;
    /// Integers from 0 to 255 as bytes.
    fn store_bytes(self, to: &mut [u8; WIDTH], value: Self::Vector);
    /// Which bytes have a bit of `bits`.
    fn test_bytes(self, from: &[u8; WIDTH], bits: u8) -> Self::Mask;
    /// Rows become columns.
    fn transpose(self, rows: [Self::Vector; WIDTH]) -> [Self::Vector; WIDTH];
}

/// Half of a pack.
pub(crate) type Half = [f32; HALF];

/// Arithmetic on as much of a pack as one register holds. A virtual vector of two registers takes twice the registers for
/// the same work: code that needs many values at once would keep them in memory.
pub(crate) trait Register: Copy {
    /// The numbers of one register.
    type Vector: Copy;
    /// Registers that hold a pack.
    const PARTS: usize;

    fn splat(self, value: f32) -> Self::Vector;
    /// Part `part` of a pack.
    fn load_part(self, from: &Pack, part: usize) -> Self::Vector;
    fn store_part(self, to: &mut Pack, part: usize, value: Self::Vector);
    /// Says that the cache line of a number will be read soon.
    fn prefetch(self, number: &f32);
    /// A half, and zeros where the register has room for more.
    fn load_half(self, from: &Half) -> Self::Vector;
    /// The first half of a pack.
    fn store_half(self, to: &mut Half, value: Self::Vector);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a · b + c`, rounded once.
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
}

/// The sum of each of 16 packs, all by one tree: halves 8 apart are added, then 4, 2 and 1 apart.
#[inline(always)]
pub(crate) fn horizontal_sums<S: Simd>(s: S, packs: &[Pack; WIDTH]) -> S::Vector {
    let mut rows = [s.splat(0.0); WIDTH];
    for i in 0..WIDTH {
        rows[i] = s.load(&packs[i]);
    }
    let mut columns = s.transpose(rows);
    for distance in [8, 4, 2, 1] {
        for i in 0..distance {
            columns[i] = s.add(columns[i], columns[i + distance]);
        }
    }
    columns[0]
}

/// Code that runs with any instruction set. Implementations of `run`, and all that they call with a `Simd` value,
/// are `#[inline(always)]`: a function left out of line would lack the instruction set's features.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// An instruction set that the CPU was found to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Isa {
    Avx512(Avx512),
    Avx2(Avx2),
    Portable(Portable),
}

impl Isa {
    pub(crate) fn new(set: InstructionSet) -> Option<Isa> {
        match set {
            InstructionSet::Avx512 => Avx512::detect().map(Isa::Avx512),
            InstructionSet::Avx2 => Avx2::detect().map(Isa::Avx2),
            InstructionSet::Portable => Some(Isa::Portable(Portable)),
        }
    }

    pub(crate) fn set(self) -> InstructionSet {
        match self {
            Isa::Avx512(_) => InstructionSet::Avx512,
            Isa::Avx2(_) => InstructionSet::Avx2,
            Isa::Portable(_) => InstructionSet::Portable,
        }
    }

    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Isa::Avx512(token) => token.run(kernel),
            Isa::Avx2(token) => token.run(kernel),
            Isa::Portable(token) => kernel.run(token),
        }
    }
}
