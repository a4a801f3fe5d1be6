//! The flight recorder: the last things that the compute thread did, for the case that something goes wrong.

use std::collections::VecDeque;
use std::time::Duration;

/// Events kept: some eight steps.
const KEPT: usize = 32;

/// What the compute thread did.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Began a phase.
    Phase {
        /// Its name.
        name: &'static str,
        /// Committed.
        step: u64,
    },
    /// Anything rarer, in words.
    Note(String),
}

/// The newest deeds, and when they were done.
#[derive(Debug, Default)]
pub(super) struct Recorder(VecDeque<(Duration, Deed)>);

impl Recorder {
    /// Notes a deed, in place of the oldest. `at`: since the process started.
    pub(super) fn note(&mut self, at: Duration, deed: Deed) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at, deed));
    }

    /// One line a deed, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(at, deed): &(Duration, Deed)| match deed {
            Deed::Phase { name, step } => format!("{:.3} s: {name} after step {step}", at.as_secs_f64()),
            Deed::Note(words) => format!("{:.3} s: {words}", at.as_secs_f64()),
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_deeds_are_kept() {
        let mut recorder = Recorder::default();
        recorder.note(Duration::ZERO, Deed::Note("generation 1 begins".into()));
        for step in 0..KEPT as u64 {
            recorder.note(Duration::from_millis(step), Deed::Phase { name: "reduce", step });
        }
        let lines = recorder.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (KEPT, "0.000 s: reduce after step 0"));
        assert_eq!(lines[KEPT - 1], "0.031 s: reduce after step 31");
    }
}
