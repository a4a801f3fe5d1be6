//! The figures of a report, one file each family: what is drawn, what was found, what would have refuted it.

mod accuracy;
mod collapse;
mod density;
mod distance;
mod edge;
mod noise;
mod over_batches;
mod sharpness;
mod slices;
mod target;
mod tuning;
mod variants;

use super::data::Data;
use super::figure::Picture;
use super::view::View;
use super::words::sentence;

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
    /// What was found, of the data: clauses of one sentence.
    pub found: Vec<String>,
    /// Whether that is among the key findings.
    pub key: bool,
    /// What would have refuted it: one sentence.
    pub refuted_by: &'static str,
    /// The numbers.
    pub data: Data,
}

impl Figure {
    /// All that was found, in one sentence.
    pub fn sentence(&self) -> String {
        sentence(&self.found.join("; "))
    }

    /// What was found, in short: of many clauses the first and the last.
    pub fn headline(&self) -> String {
        match self.found.as_slice() {
            [first, between @ .., last] if between.len() > 2 => {
                sentence(&format!("{first}; {last} ({} more with the figure)", between.len()))
            }
            _ => self.sentence(),
        }
    }
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

/// A clause about a line or cell: with its name, if it has one.
fn of_line(label: &str, clause: &str) -> String {
    if label.is_empty() { clause.into() } else { format!("“{label}”: {clause}") }
}

/// Why a table's figures are not there.
fn absent(view: &View<'_>, table: &'static str, otherwise: &str) -> String {
    if view.tables.absent.contains(table) { format!("tables/{table} is missing") } else { otherwise.into() }
}
