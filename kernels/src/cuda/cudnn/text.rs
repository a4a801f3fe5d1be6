//! A plan in words that another worker can make it from.

use std::fmt;
use std::str::FromStr;

use super::descriptor::Knob;

/// Most knobs of an engine; cuDNN 9.21 knows 44.
pub(super) const MOST_KNOBS: usize = 64;

/// An engine of one version of cuDNN and how it is set: `cuDNN 9.21.1, engine 70, knobs 2=4 18=0`.
///
/// It says nothing of the graph: whoever makes the plan knows its convolution. Engines and knobs are numbered anew by
/// each version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanText {
    pub(super) version: String,
    pub(super) engine: i64,
    pub(super) knobs: Vec<(Knob, i64)>,
}

impl fmt::Display for PlanText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cuDNN {}, engine {}, knobs", self.version, self.engine)?;
        self.knobs.iter().try_for_each(|(Knob(knob), value)| write!(f, " {knob}={value}"))
    }
}

/// Why a text tells of no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form \"cuDNN 9.21.1, engine 70, knobs 2=4 18=0\"")]
pub struct NoPlanText;

impl FromStr for PlanText {
    type Err = NoPlanText;

    /// Takes what `Display` gives and nothing else.
    fn from_str(text: &str) -> Result<Self, NoPlanText> {
        let parsed = || {
            let (version, rest) = text.strip_prefix("cuDNN ")?.split_once(", engine ")?;
            let (engine, knobs) = rest.split_once(", knobs")?;
            let knob = |word: &str| {
                let (knob, value) = word.split_once('=')?;
                Some((Knob(knob.parse().ok()?), value.parse().ok()?))
            };
            let knobs = knobs.split_whitespace().take(MOST_KNOBS + 1).map(knob).collect::<Option<Vec<_>>>()?;
            Some(Self { version: version.into(), engine: engine.parse().ok()?, knobs })
        };
        let same = |found: &Self| found.knobs.len() <= MOST_KNOBS && found.to_string() == text;
        parsed().filter(same).ok_or(NoPlanText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "cuDNN 9.21.1, engine 70, knobs 2=4 18=0",
            "cuDNN 9.8.0, engine 0, knobs",
            "cuDNN 9.8.0, engine 1, knobs 3=-1",
        ] {
            let read: PlanText = text.parse().expect(text);
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let many = format!("cuDNN 9.8.0, engine 1, knobs{}", " 1=1".repeat(MOST_KNOBS + 1));
        for text in [
            "",
            "cuDNN",
            "engine 70, knobs 2=4",
            "cuDNN 9.21.1, engine , knobs",
            "cuDNN 9.21.1, engine 99999999999999999999, knobs",
            "cuDNN 9.21.1, engine +7, knobs",
            "cuDNN 9.21.1, engine 7, knobs 2",
            "cuDNN 9.21.1, engine 7, knobs 2=",
            "cuDNN 9.21.1, engine 7, knobs 2=4,18=0",
            "cuDNN 9.21.1, engine 7, knobs  2=4",
            "cuDNN 9.21.1, engine 7, knobs -2=4",
            "cuDNN 9.21.1, engine 7, knobs 2=4\n",
            &many,
        ] {
            assert_eq!(text.parse::<PlanText>(), Err(NoPlanText), "{text:?}");
        }
    }
}
