//! A figure of every cell, with its interval, over the batch size: one series a line.

use crate::report::data::Data;
use crate::report::figure::{Measure, Picture, Plot, Point, Series};
use crate::report::tables::{Cell, Job};
use crate::report::view::{BySeed, Line, View};
use crate::report::words::{change, count, quotient, whole};
use crate::statistics::{Interval, mean_interval, paired_interval};

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
    pub picture: Picture,
    pub found: Vec<Finding>,
    pub data: Data,
}

impl OverBatches<'_> {
    /// Draws a figure of jobs over some lines; `None` if no cell has it, or all have the same batch.
    pub fn draw<'a>(
        &self,
        view: &View<'a>,
        lines: &[&Line<'a>],
        figure: impl Fn(&'a Job) -> Option<f64>,
    ) -> Option<Outcome> {
        let mut data = Data::new(&["line", "cell", "batch", "value", "low", "high", "seeds"]);
        let (mut series, mut clauses, mut batches) = (Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            let cells: Vec<(&Cell, BySeed)> =
                line.cells.iter().map(|cell| (*cell, view.values(cell, &figure))).filter(|c| !c.1.is_empty()).collect();
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
        let y = if self.factors { Measure::log(self.label) } else { Measure::linear(self.label) };
        let x = Measure::log("batch size (samples)").at(batches);
        let plot = Plot { apart: true, ..Plot::new(x, y, series) };
        if clauses.is_empty() {
            clauses.push(format!("no line has {} at two batch sizes", self.what).into());
        }
        Some(Outcome { picture: Picture::Plot(Box::new(plot)), found: clauses, data })
    }

    fn mean(&self, values: &BySeed) -> Option<Interval> {
        let values: Vec<f64> = values.values().copied().collect();
        if !self.factors {
            return mean_interval(&values);
        }
        let logarithms: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        mean_interval(&logarithms).map(|interval| interval.map(f64::exp))
    }

    /// The change from the smallest to the largest batch.
    fn clause(&self, cells: &[(&Cell, BySeed)]) -> Option<String> {
        let [(small, before), .., (large, after)] = cells else { return None };
        let pairs: Vec<(f64, f64)> = pairs(before, after);
        let span = format!("from batch {} to {} {}", whole(small.batch), whole(large.batch), self.what);
        if pairs.is_empty() {
            return Some(format!("{span} can't be compared: no seed has both"));
        }
        let seeds = count(pairs.len(), "pair");
        Some(if self.factors {
            let logarithms: Vec<_> = pairs.iter().map(|(before, after)| (before.ln(), after.ln())).collect();
            format!("{span} {} ({seeds} of seeds)", quotient(&paired_interval(&logarithms)?))
        } else {
            format!("{span} {} ({seeds} of seeds)", change(&paired_interval(&pairs)?, self.unit))
        })
    }
}

/// Values of the seeds that both have.
pub fn pairs(before: &BySeed, after: &BySeed) -> Vec<(f64, f64)> {
    before.iter().filter_map(|(seed, value)| Some((*value, *after.get(seed)?))).collect()
}
