//! What happened, in lines for people, and as one number that tells two histories apart.

use crate::random::hash;

/// A history's trace. Lines are only made where somebody will read them: they cost more than the history itself.
#[derive(Debug, Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
    hash: u64,
}

impl Trace {
    /// A trace that keeps its lines, or only their number.
    pub fn new(keeps_lines: bool) -> Self {
        Self { lines: keeps_lines.then(Vec::new), hash: 0 }
    }

    /// Notes a line.
    pub fn note(&mut self, now: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>7}.{:03} {}", now / 1000, now % 1000, line()));
        }
    }

    /// Notes something for the number alone.
    pub fn mix(&mut self, value: u64) {
        self.hash = hash(self.hash ^ value);
    }

    /// The number.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they were kept.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
