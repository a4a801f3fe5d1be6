//! In which numbers a GPU computes.

use std::fmt;

use crate::device::Precision;

/// What factors are; products are added in f32 by all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// f32.
    #[default]
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
