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

    /// The same of libraries whose old versions have one digit fewer in front of the minor one: cuDNN before 9, NCCL
    /// before 2.9.
    pub(super) fn with_old_numbers(number: usize) -> Self {
        match number {
            0..10_000 => Self { major: number / 1000, minor: number / 100 % 10, patch: number % 100 },
            _ => Self::from_number(number),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_each_major_version_writes_them() {
        assert_eq!(Version::with_old_numbers(92_101).to_string(), "9.21.1");
        assert_eq!(Version::with_old_numbers(90_000).to_string(), "9.0.0");
        assert_eq!(Version::with_old_numbers(8907).to_string(), "8.9.7");
    }
}
