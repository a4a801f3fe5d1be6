//! The figures of a report, one file each family: what is drawn, what was found, what would have refuted it.

mod accuracy;
mod asked;
mod batch_noise;
mod collapse;
mod density;
mod distance;
mod edge;
mod noise;
mod over_batches;
mod recovered;
mod sharpness;
mod slices;
mod target;
mod tuning;
mod variants;

pub use asked::asked;

use super::data::Data;
use super::figure::Picture;
use super::view::View;
use super::words::sentence;
use crate::statistics::FEWEST_SEEDS;

/// A figure of the report.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What its files are called.
    pub name: String,
    /// Its headline.
    pub title: String,
    /// What is drawn.
    pub picture: Picture,
    /// How to read it.
    pub caption: String,
    /// What was found, of the data.
    pub found: Vec<Finding>,
    /// Whether that is among the key findings.
    pub key: bool,
    /// That in short, where the clauses themselves are not.
    pub short: Option<String>,
    /// What would have refuted it: one sentence.
    pub refuted_by: &'static str,
    /// The numbers.
    pub data: Data,
}

/// A clause of what was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The line or cell that it is about; empty if it is about all.
    pub of: String,
    /// What is said of it.
    pub said: String,
}

impl Finding {
    /// About a line or cell of this name, if it has one.
    pub fn of(name: &str, said: impl Into<String>) -> Self {
        Self { of: name.into(), said: said.into() }
    }
}

impl<T: Into<String>> From<T> for Finding {
    fn from(said: T) -> Self {
        Self::of("", said)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.of.is_empty() { f.write_str(&self.said) } else { write!(f, "“{}”: {}", self.of, self.said) }
    }
}

/// Clauses that people read as a sentence; more are a table.
const MOST_CLAUSES: usize = 4;

impl Figure {
    /// What was found: clauses of a sentence, and rows of a table for what is too much for one.
    pub fn told(&self) -> (Vec<&Finding>, Vec<&Finding>) {
        let all = || self.found.iter();
        if self.found.len() <= MOST_CLAUSES {
            return (all().collect(), Vec::new());
        }
        let (of_all, of_each): (Vec<_>, Vec<_>) = all().partition(|finding| finding.of.is_empty());
        if of_all.len() <= MOST_CLAUSES { (of_all, of_each) } else { (Vec::new(), all().collect()) }
    }

    /// What was found, in short: of many clauses the first and the last, unless the figure has something shorter.
    pub fn headline(&self) -> String {
        if let Some(short) = &self.short {
            return sentence(short);
        }
        match self.found.as_slice() {
            [first, between @ .., last] if between.len() > 2 => {
                sentence(&format!("{first}; {last} ({} more with the figure)", between.len()))
            }
            _ => joined(&self.found.iter().collect::<Vec<_>>()),
        }
    }
}

/// Clauses as one sentence.
pub fn joined(clauses: &[&Finding]) -> String {
    sentence(&clauses.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// What bars are, in a caption: they aren't there where seeds are few.
fn bars() -> String {
    format!("Bars are 95 % bootstrap intervals over seeds, where there are at least {FEWEST_SEEDS}.")
}

/// A family's figures, or why there are none.
pub type Drawn = Result<Vec<Figure>, String>;

/// Draws a family.
pub type Draw = fn(&View<'_>) -> Drawn;

/// All families by the names that recipes have for them, in the report's order.
pub const FAMILIES: [(&str, Draw); 14] = [
    ("accuracy", accuracy::accuracy),
    ("variants", variants::draw),
    ("gap", accuracy::gap),
    ("steps-to-target", target::steps),
    ("trade-off", target::trade_off),
    ("noise-scale", noise::draw),
    ("sharpness", sharpness::draw),
    ("ratio", collapse::draw),
    ("edge", edge::draw),
    ("density", density::draw),
    ("slice", slices::slice),
    ("plane", slices::plane),
    ("distance", distance::draw),
    ("tuning", tuning::draw),
];

/// Why a table's figures are not there.
fn absent(view: &View<'_>, table: &'static str, otherwise: &str) -> String {
    if view.tables.absent.contains(table) { format!("tables/{table} is missing") } else { otherwise.into() }
}
