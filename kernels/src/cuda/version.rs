//! Versions of NVIDIA's libraries of kernels.

use std::fmt;

/// As people write it: 9.21.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Another one is another interface.
    pub major: usize,
    /// A larger one can do more.
    pub minor: usize,
    /// Of corrections.
    pub patch: usize,
}

impl Version {
    /// Of 10,000 · major + 100 · minor + patch.
    pub(super) fn from_number(number: usize) -> Self {
        Self { major: number / 10_000, minor: number / 100 % 100, patch: number % 100 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
