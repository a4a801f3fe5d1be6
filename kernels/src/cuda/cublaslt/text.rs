//! A plan in words that another worker can make it from.

use std::fmt;
use std::str::FromStr;

use cudarc::cublaslt::sys::cublasLtMatmulAlgo_t;

/// Words of an algorithm as the library writes it.
pub(super) type Algorithm = [u64; size_of::<cublasLtMatmulAlgo_t>() / size_of::<u64>()];

/// An algorithm of one version of cuBLASLt: `cuBLASLt 13.0.2, algorithm` and 8 words of 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanText {
    pub(super) version: String,
    pub(super) algorithm: Algorithm,
}

impl fmt::Display for PlanText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cuBLASLt {}, algorithm", self.version)?;
        self.algorithm.iter().try_for_each(|word| write!(f, " {word:016x}"))
    }
}

/// Why a text tells of no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form \"cuBLASLt 13.0.2, algorithm\" with 8 words of 16 hexadecimal digits")]
pub struct NoPlanText;

impl FromStr for PlanText {
    type Err = NoPlanText;

    /// Takes what `Display` gives and nothing else.
    fn from_str(text: &str) -> Result<Self, NoPlanText> {
        let parsed = || {
            let (version, words) = text.strip_prefix("cuBLASLt ")?.split_once(", algorithm ")?;
            let words = words.split(' ').take(size_of::<Algorithm>()).map(|word| u64::from_str_radix(word, 16).ok());
            let algorithm = words.collect::<Option<Vec<_>>>()?.try_into().ok()?;
            Some(Self { version: version.into(), algorithm })
        };
        parsed().filter(|found| found.to_string() == text).ok_or(NoPlanText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let written = PlanText { version: "13.0.2".into(), algorithm: [0, 1, u64::MAX, 0xab, 4, 5, 6, 7] };
        let text = written.to_string();
        assert_eq!(text.parse(), Ok(written));
        let longer = format!("{text} 0000000000000000");
        let upper = text.replace("ab", "AB");
        for bad in ["", "cuBLASLt 13.0.2", &text[..text.len() - 1], &text[..text.len() - 17], &longer, &upper] {
            assert_eq!(bad.parse::<PlanText>(), Err(NoPlanText), "{bad:?}");
        }
    }
}
