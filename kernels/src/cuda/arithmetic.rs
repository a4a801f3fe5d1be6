//! In which numbers a GPU computes.

use std::fmt;

use crate::device::Precision;

/// What factors are; products are added in f32 by all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// f32.
    F32,
    /// f32 in memory, of which a library's tensor cores take 10 bits of the fraction.
    Tf32,
    /// bf16 in memory.
    Bf16,
}

impl Arithmetic {
    /// What activations are in memory.
    pub fn precision(self) -> Precision {
        match self {
            Self::F32 | Self::Tf32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }

    /// Words of 32 bits of a copy that libraries take in place of so many f32; none where those will do themselves.
    pub(super) fn words_of_copy(self, len: usize) -> usize {
        match self {
            Self::F32 => 0,
            Self::Tf32 | Self::Bf16 => self.precision().words(len),
        }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}
