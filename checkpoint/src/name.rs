//! A checkpoint's name: the step and generation that it was written in.

use std::fmt;
use std::str::FromStr;

/// `step-000000000100-g3`: the state after 100 steps, the last of them committed in generation 3. Names sort by step,
/// then generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Committed steps.
    pub step: u64,
    /// Number of the generation.
    pub generation: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step-{:012}-g{}", self.step, self.generation)
    }
}

/// The text is no checkpoint's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a checkpoint is called like step-000000000100-g3")]
pub struct NoName;

impl FromStr for Name {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let (step, generation) = text.strip_prefix("step-").and_then(|rest| rest.split_once("-g")).ok_or(NoName)?;
        let name =
            Self { step: step.parse().map_err(|_| NoName)?, generation: generation.parse().map_err(|_| NoName)? };
        // One text a name: no sign, no other padding.
        if name.to_string() == text { Ok(name) } else { Err(NoName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_text_are_one_to_one() {
        for name in [
            Name { step: 0, generation: 0 },
            Name { step: 100, generation: 3 },
            Name { step: u64::MAX, generation: u64::MAX },
        ] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert_eq!(Name { step: 100, generation: 3 }.to_string(), "step-000000000100-g3");
        for other in [
            "",
            "step-",
            "step-100-g3",
            "step-000000000100-g03",
            "step-000000000100-g+3",
            "../x",
            "damaged-step-000000000100-g3",
        ] {
            assert_eq!(other.parse::<Name>(), Err(NoName), "{other}");
        }
    }
}
