//! What each learning rate came to while it was tuned.

use std::collections::BTreeMap;

use super::{Drawn, Figure, Finding, absent};
use crate::report::data::Data;
use crate::report::figure::{Measure, Picture, Plot, Point, Series};
use crate::report::tables::{Cell, Trial};
use crate::report::view::View;
use crate::report::words::{count, number};
use crate::statistics::mean;

/// Score over the learning rate, by cell, with a ring around what was chosen.
pub fn draw(view: &View<'_>) -> Drawn {
    let mut data = Data::new(&["cell", "learning_rate", "score", "chosen"]);
    let (mut series, mut clauses) = (Vec::new(), Vec::new());
    for cell in view.cells() {
        let tried = tried(view, cell);
        if tried.is_empty() {
            continue;
        }
        let points: Vec<Point> = tried.iter().filter_map(Tried::point).collect();
        for rate in &tried {
            data.row(&[&cell.cell.as_str(), &rate.rate, &rate.score, &if rate.chosen { "true" } else { "false" }]);
        }
        clauses.push(clause(view, cell, &tried));
        let (label, style) = (view.label(cell), view.place(cell));
        series.push(Series { label, style, points, joined: true, marked: true, banded: false });
    }
    if series.is_empty() {
        return Err(absent(
            view,
            "tuning.csv",
            "no learning rate was tuned: the recipe has no arm with `rate = \"tuned\"`",
        ));
    }
    let by = view.tables.tuned_by.clone().unwrap_or_else(|| "score".into()).replace('_', " ");
    let positive = series.iter().flat_map(|series| &series.points).all(|point| point.y > 0.0);
    let label = format!("{by} (lower is better)");
    let y = if positive { Measure::log(&label) } else { Measure::linear(&label) };
    Ok(vec![Figure {
        name: "tuning".into(),
        title: "Learning rates that were tried".into(),
        picture: Picture::Plot(Box::new(Plot::new(Measure::log("learning rate η"), y, series))),
        caption:
            "Mean over the tuning seeds, which are not the seeds of the results; rings are the rates that were chosen. \
                  Rates at which any run diverged have no point."
                .into(),
        found: clauses,
        key: false,
        short: None,
        refuted_by: "A chosen rate at the end of its curve would refute that the comparison is between tuned rates.",
        data,
    }])
}

/// A learning rate of a cell.
struct Tried {
    rate: f64,
    /// Mean over seeds; none if one diverged.
    score: Option<f64>,
    chosen: bool,
}

impl Tried {
    fn point(&self) -> Option<Point> {
        Some(Point { chosen: self.chosen, ..Point::new(self.rate, self.score?) })
    }
}

fn tried(view: &View<'_>, cell: &Cell) -> Vec<Tried> {
    let mut rates: BTreeMap<u64, Vec<&Trial>> = BTreeMap::new();
    for trial in view.tables.trials.iter().filter(|trial| trial.cell == cell.cell && trial.learning_rate > 0.0) {
        // Positive floats are in the order of their bits.
        rates.entry(trial.learning_rate.to_bits()).or_default().push(trial);
    }
    let one = |trials: &Vec<&Trial>| {
        let scores: Option<Vec<f64>> = trials.iter().map(|trial| trial.score).collect();
        let chosen = trials.iter().any(|trial| trial.chosen);
        Tried { rate: trials[0].learning_rate, score: scores.and_then(|scores| mean(&scores)), chosen }
    };
    rates.values().map(one).collect()
}

fn clause(view: &View<'_>, cell: &Cell, tried: &[Tried]) -> Finding {
    let chosen = tried.iter().find(|rate| rate.chosen).map(|rate| rate.rate).or(cell.learning_rate);
    let interior = match cell.interior {
        Some(true) => "inside of the grid",
        Some(false) => "AT THE GRID'S END",
        None => "not said whether inside of the grid",
    };
    let chosen = chosen.map_or("none chosen yet".into(), |rate| format!("η = {} chosen, {interior}", number(rate)));
    Finding::of(&view.label(cell), format!("{chosen} ({})", count(tried.len(), "rate")))
}
