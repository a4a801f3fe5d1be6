//! A figure of every cell, with its interval, over the batch size: one series a line.

use crate::report::data::Data;
use crate::report::figure::{Dot, Dots, Measure, Picture, Plot, Point, Series};
use crate::report::tables::{Cell, Job};
use crate::report::view::{BySeed, Line, View};
use crate::report::words::{change, count, doubt, list, quotient, whole, with_interval};
use crate::statistics::{Interval, geometric_interval, mean_interval, paired_interval};

use super::Finding;

/// What is drawn over the batch size.
pub struct OverBatches<'a> {
    /// In the sentence, such as `the test error`.
    pub what: &'a str,
    /// Unit of a difference.
    pub unit: &'a str,
    /// Label of the upward axis, with its unit.
    pub label: &'a str,
    /// Whether means are geometric, the axis logarithmic and changes factors.
    pub factors: bool,
}

/// What came of it.
pub struct Outcome {
    /// `over batch size`, or `by arm` where no arm has two of them.
    pub over: &'static str,
    pub picture: Picture,
    pub found: Vec<Finding>,
    /// The same in short, where that is long.
    pub short: Option<String>,
    pub data: Data,
}

impl OverBatches<'_> {
    /// Draws a figure of jobs over some lines; `None` if no cell has it, or all have the same batch. Where each arm has a
    /// batch size of its own, there is no line to be drawn: cells are rows, compared with the first of the smallest batch.
    pub fn draw<'a>(
        &self,
        view: &View<'a>,
        lines: &[&Line<'a>],
        figure: impl Fn(&'a Job) -> Option<f64>,
    ) -> Option<Outcome> {
        let mut data = Data::new(&["line", "cell", "batch", "value", "low", "high", "seeds"]);
        let (mut series, mut clauses, mut batches, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            let cells: Vec<(&Cell, BySeed)> =
                line.cells.iter().map(|cell| (*cell, view.values(cell, &figure))).filter(|c| !c.1.is_empty()).collect();
            all.extend(cells.iter().cloned());
            let mut points = Vec::new();
            for (cell, values) in &cells {
                let Some(mean) = self.mean(values) else { continue };
                let (batch, seeds) = (cell.batch as f64, values.len());
                data.row(&[
                    &line.label.as_str(),
                    &cell.cell.as_str(),
                    &cell.batch,
                    &mean.value,
                    &mean.low,
                    &mean.high,
                    &seeds,
                ]);
                points.push(Point { x: batch, y: mean.value, low: mean.low, high: mean.high, chosen: false });
                batches.push(batch);
            }
            clauses.extend(self.clause(&cells).map(|clause| Finding::of(&line.label, clause)));
            if !points.is_empty() {
                let (label, style) = (line.label.clone(), line.style);
                series.push(Series { label, style, points, joined: true, marked: true, banded: false });
            }
        }
        batches.sort_by(f64::total_cmp);
        batches.dedup();
        if batches.len() < 2 {
            return None;
        }
        if clauses.is_empty() {
            let (picture, found) = self.by_arm(view, &all);
            return Some(Outcome { over: "by arm", picture, found, short: self.beside(view, &all), data });
        }
        let y = if self.factors { Measure::log(self.label) } else { Measure::linear(self.label) };
        let x = Measure::log("batch size (samples)").at(batches);
        let plot = Plot { apart: true, ..Plot::new(x, y, series) };
        Some(Outcome {
            over: "over batch size",
            picture: Picture::Plot(Box::new(plot)),
            found: clauses,
            short: None,
            data,
        })
    }

    /// A row for each cell, and how each differs from the first of the smallest batch.
    fn by_arm(&self, view: &View<'_>, cells: &[(&Cell, BySeed)]) -> (Picture, Vec<Finding>) {
        let first = cells.iter().min_by_key(|(cell, _)| cell.batch);
        let (mut dots, mut found, mut guides) = (Vec::new(), Vec::new(), Vec::new());
        for (style, (cell, values)) in cells.iter().enumerate() {
            let Some(mean) = self.mean(values) else { continue };
            let label = view.label(cell);
            match first.filter(|first| first.0.cell != cell.cell) {
                Some((reference, before)) => {
                    let from = format!("from “{}” {}", view.label(reference), self.what);
                    found.extend(self.changed(&from, &pairs(before, values)).map(|said| Finding::of(&label, said)));
                }
                None => guides.push(mean.value),
            }
            dots.push(Dot { label, words: with_interval(&mean), style, value: mean.value, ends: mean.ends() });
        }
        let x = if self.factors { Measure::log(self.label) } else { Measure::linear(self.label) };
        (Picture::Dots(Dots { x, dots, guides }), found)
    }

    /// What each cell's is beside that of the first of the smallest batch.
    fn beside(&self, view: &View<'_>, cells: &[(&Cell, BySeed)]) -> Option<String> {
        let (reference, before) = cells.iter().min_by_key(|(cell, _)| cell.batch)?;
        let one = |(cell, values): &(&Cell, BySeed)| {
            let difference = self.difference(&pairs(before, values))?;
            let told = if self.factors { with_interval(&difference.map(f64::exp)) } else { with_interval(&difference) };
            Some(format!("“{}” {told}{}", view.label(cell), doubt(&difference, 0.0, "no change is shown")))
        };
        let others: Vec<String> = cells.iter().filter(|cell| cell.0.cell != reference.cell).filter_map(one).collect();
        let unit = if self.unit.is_empty() { String::new() } else { format!(", in {}", self.unit) };
        let beside = if self.factors { "divided by" } else { "less" };
        let told = || format!("{} {beside} that of “{}”{unit}: {}", self.what, view.label(reference), list(&others));
        (!others.is_empty()).then(told)
    }

    /// Of pairs of values; of their logarithms where changes are factors.
    fn difference(&self, pairs: &[(f64, f64)]) -> Option<Interval> {
        if !self.factors {
            return paired_interval(pairs);
        }
        paired_interval(&pairs.iter().map(|(before, after)| (before.ln(), after.ln())).collect::<Vec<_>>())
    }

    fn mean(&self, values: &BySeed) -> Option<Interval> {
        let values: Vec<f64> = values.values().copied().collect();
        if self.factors { geometric_interval(&values) } else { mean_interval(&values) }
    }

    /// The change from the smallest to the largest batch.
    fn clause(&self, cells: &[(&Cell, BySeed)]) -> Option<String> {
        let [(small, before), .., (large, after)] = cells else { return None };
        let span = format!("from batch {} to {} {}", whole(small.batch), whole(large.batch), self.what);
        self.changed(&span, &pairs(before, after))
    }

    /// What pairs of values come to, as a clause that begins so.
    fn changed(&self, span: &str, pairs: &[(f64, f64)]) -> Option<String> {
        if pairs.is_empty() {
            return Some(format!("{span} can't be compared: no seed has both"));
        }
        let seeds = count(pairs.len(), "pair");
        let difference = self.difference(pairs)?;
        let told = if self.factors { quotient(&difference) } else { change(&difference, self.unit) };
        Some(format!("{span} {told} ({seeds} of seeds)"))
    }
}

/// Values of the seeds that both have.
pub fn pairs(before: &BySeed, after: &BySeed) -> Vec<(f64, f64)> {
    before.iter().filter_map(|(seed, value)| Some((*value, *after.get(seed)?))).collect()
}
