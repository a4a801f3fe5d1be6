//! The rate of multiply-adds without any memory: what kernels are measured against, in place of a data sheet.

use std::hint::black_box;

use super::{InstructionSet, Isa, Kernel, Simd, WIDTH};

/// Independent sums: enough to hide a multiply-add's latency, few enough for 16 registers of AVX2.
const CHAINS: usize = 6;
const MANY_CHAINS: usize = 16;

/// Floating-point operations of [`multiply_adds`].
pub fn operations(set: InstructionSet, rounds: usize) -> usize {
    let chains = if set == InstructionSet::Avx512 { MANY_CHAINS } else { CHAINS };
    2 * WIDTH * chains * rounds
}

/// Runs `rounds` × independent multiply-adds that stay in registers; see [`operations`] for their number.
///
/// # Panics
/// If this CPU lacks the instructions.
pub fn multiply_adds(set: InstructionSet, rounds: usize) {
    let isa = Isa::new(set).unwrap_or_else(|| panic!("this CPU has no {set} instructions"));
    isa.run(Chains(rounds));
}

struct Chains(usize);

impl Kernel for Chains {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if S::MANY_REGISTERS { chains::<S, MANY_CHAINS>(s, self.0) } else { chains::<S, CHAINS>(s, self.0) }
    }
}

#[inline(always)]
fn chains<S: Simd, const N: usize>(s: S, rounds: usize) {
    let factor = s.splat(black_box(0.5));
    let mut sums = [s.splat(black_box(1.0)); N];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = s.fma(*sum, factor, factor);
        }
    }
    let mut total = [0.0; WIDTH];
    for sum in sums {
        s.store(&mut total, sum);
        black_box(&total);
    }
}
