//! Whether runs of the same η/B come to the same: the noise of SGD is η/B times the gradients' covariance.

use std::collections::BTreeMap;

use super::{Drawn, Figure, Finding, bars};
use crate::report::data::Data;
use crate::report::figure::{Measure, Picture, Plot, Point, Series};
use crate::report::tables::{Cell, Job};
use crate::report::view::{BySeed, View, ratio};
use crate::report::words::{doubt, number, percent, told_apart, whole};
use crate::statistics::{Interval, explained_share, interval, mean, mean_interval};

/// A cell with what it is grouped by.
struct Placed<'a> {
    cell: &'a Cell,
    rate: f64,
    /// η/B.
    ratio: f64,
}

/// The figures of the collapse: error, width, and curves over epochs.
pub fn draw(view: &View<'_>) -> Drawn {
    let cells = placed(view);
    if !crosses(&cells) {
        let reason = "it needs two ratios η/B, and two batch sizes at one of them: an arm with `rate = \"ratio\"`";
        return Err(reason.into());
    }
    let (tested, error) = (view.tested(), view.error());
    let label = if tested { "test error (%)" } else { "validation error (%)" };
    let width = |job: &Job| view.sharpness(job).last().map(|last| last.1).filter(|value| *value > 0.0);
    let mut figures = Vec::new();
    figures.extend(scatter(view, &cells, ["ratio-error", "Error over η/B", "the error", label], false, error));
    // As over the batch size: a cell has one value in a report.
    let names = ["ratio-width", "Width of the minimum over η/B", "ln λ_max", "λ_max"];
    figures.extend(scatter(view, &cells, names, true, width));
    figures.extend(curves(view, &cells));
    if figures.is_empty() {
        Err("no cell of these has an error, a λ_max or evaluations yet".into())
    } else {
        Ok(figures)
    }
}

fn placed<'a>(view: &View<'a>) -> Vec<Placed<'a>> {
    let place = |cell: &'a Cell| Some(Placed { cell, rate: cell.learning_rate?, ratio: ratio(cell)? });
    view.cells().iter().filter_map(place).collect()
}

/// Whether there are several ratios, and several batches at one.
fn crosses(cells: &[Placed<'_>]) -> bool {
    let several = cells.iter().any(|cell| cell.ratio != cells[0].ratio);
    let pair = |a: &Placed<'_>, b: &Placed<'_>| a.ratio == b.ratio && a.cell.batch != b.cell.batch;
    several && cells.iter().any(|a| cells.iter().any(|b| pair(a, b)))
}

/// A figure of jobs over η/B: its file's name, title, what the variance is of, the axis. Of `factors` means, variances and
/// distances are of logarithms, and the axis is logarithmic.
fn scatter<'a>(
    view: &View<'a>,
    cells: &[Placed<'a>],
    [name, title, what, label]: [&str; 4],
    factors: bool,
    figure: impl Fn(&'a Job) -> Option<f64>,
) -> Option<Figure> {
    let [inner, outer]: [fn(f64) -> f64; 2] = if factors { [f64::ln, f64::exp] } else { [|value| value; 2] };
    let y = if factors { Measure::log(label) } else { Measure::linear(label) };
    let values = |cell: &Cell| view.values(cell, |job| figure(job).map(inner));
    let valued: Vec<(&Placed<'a>, BySeed)> =
        cells.iter().map(|cell| (cell, values(cell.cell))).filter(|cell| !cell.1.is_empty()).collect();
    let mut data = Data::new(&["cell", "batch", "learning_rate", "ratio", "value", "low", "high", "seeds"]);
    let mut series: BTreeMap<u64, Series> = BTreeMap::new();
    for (cell, values) in &valued {
        let mean = mean_interval(&values.values().copied().collect::<Vec<_>>())?.map(outer);
        let (batch, seeds) = (cell.cell.batch, values.len());
        let id = cell.cell.cell.as_str();
        data.row(&[&id, &batch, &cell.rate, &cell.ratio, &mean.value, &mean.low, &mean.high, &seeds]);
        let style = series.len();
        let of_batch = series.entry(batch).or_insert_with(|| Series {
            label: format!("batch {}", whole(batch)),
            style,
            joined: true,
            marked: true,
            ..Series::default()
        });
        of_batch.points.push(Point { x: cell.ratio, y: mean.value, low: mean.low, high: mean.high, chosen: false });
    }
    if series.is_empty() {
        return None;
    }
    let mut series: Vec<Series> = series.into_values().collect();
    series.iter_mut().for_each(|series| series.points.sort_by(|a, b| a.x.total_cmp(&b.x)));
    let plot = Plot::new(Measure::log("η/B (learning rate per sample)"), y, series);
    Some(Figure {
        name: name.into(),
        title: title.into(),
        picture: Picture::Plot(Box::new(plot)),
        caption: format!(
            "One curve a batch size; where η/B decides, they lie on each other. {} Shares of variance are adjusted for the \
             number of groups (ε²), so that groupings of different sizes compare: one at random explains 0 % on average, and \
             may come out below.",
            bars()
        ),
        found: found(&valued, what, outer).into_iter().map(Finding::from).collect(),
        key: true,
        short: None,
        refuted_by: "Curves of different batch sizes that lie apart at equal η/B by more than their intervals would refute \
                     the collapse; so would the learning rate or the batch alone explaining as much.",
        data,
    })
}

/// How much of the variance between cells η/B explains, and what else would; where it is worst.
/// `outer` leads from values as they vary to those that are told.
fn found(cells: &[(&Placed<'_>, BySeed)], what: &str, outer: fn(f64) -> f64) -> Vec<String> {
    let key = |by: fn(&Placed<'_>) -> f64| -> Vec<u64> { cells.iter().map(|(cell, _)| by(cell).to_bits()).collect() };
    let share = |groups: &[u64]| {
        let seeds: Vec<u64> = cells
            .iter()
            .flat_map(|cell| cell.1.keys().copied())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        interval(seeds.len(), |sample| {
            let of = |(group, (_, values)): (&u64, &(&Placed<'_>, BySeed))| {
                let drawn: Vec<f64> = sample.iter().filter_map(|seed| values.get(&seeds[*seed]).copied()).collect();
                Some((*group as usize, mean(&drawn)?))
            };
            explained_share(&groups.iter().zip(cells).filter_map(of).collect::<Vec<_>>())
        })
    };
    let Some(ratio) = share(&key(|cell| cell.ratio)) else {
        return vec![format!("there are too few cells with {what} at equal η/B to say how much it explains")];
    };
    let percent = |share: &Interval| format!("{}{}", percent(share), doubt(share, 0.0, "which may be nothing"));
    let mut clauses = vec![format!("η/B explains {} of the variance of {what} between cells", percent(&ratio))];
    let others =
        [("the learning rate alone", key(|cell| cell.rate)), ("the batch alone", key(|cell| cell.cell.batch as f64))];
    for (name, groups) in others {
        clauses.extend(share(&groups).map(|share| format!("{name} explains {}", percent(&share))));
    }
    clauses.extend(worst(cells, outer));
    clauses
}

/// The ratio at which batches lie farthest apart.
fn worst(cells: &[(&Placed<'_>, BySeed)], outer: fn(f64) -> f64) -> Option<String> {
    let mut spreads: BTreeMap<u64, (f64, f64, f64)> = BTreeMap::new();
    for (cell, values) in cells {
        let value = mean(&values.values().copied().collect::<Vec<_>>())?;
        let spread = spreads.entry(cell.ratio.to_bits()).or_insert((cell.ratio, value, value));
        (spread.1, spread.2) = (spread.1.min(value), spread.2.max(value));
    }
    let (ratio, low, high) = spreads.into_values().max_by(|a, b| (a.2 - a.1).total_cmp(&(b.2 - b.1)))?;
    let (ratio, low, high) = (number(ratio), number(outer(low)), number(outer(high)));
    Some(format!("batches lie farthest apart at η/B = {ratio}: {low} to {high}"))
}

/// Evaluations over epochs: one curve a cell, coloured by its ratio.
fn curves(view: &View<'_>, cells: &[Placed<'_>]) -> Option<Figure> {
    let runs = || cells.iter().flat_map(|cell| view.runs(cell.cell)).filter(|(_, job)| !job.diverged);
    let evaluations = |job: &Job| view.tables.evaluations.get(&job.job).map_or(&[][..], Vec::as_slice);
    // One split: those of two are of different samples.
    let validated = runs().any(|(_, job)| evaluations(job).iter().any(|evaluation| evaluation.split == "validation"));
    let split = if validated { "validation" } else { "test" };
    let mut data = Data::new(&["cell", "batch", "ratio", "epoch", "split", "error"]);
    let mut ratios: Vec<f64> = cells.iter().map(|cell| cell.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.dedup();
    let words = told_apart(&ratios);
    let (mut series, mut named) = (Vec::new(), Vec::new());
    for cell in cells {
        let mut epochs: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (_, job) in view.runs(cell.cell).filter(|(_, job)| !job.diverged) {
            for evaluation in evaluations(job).iter().filter(|evaluation| evaluation.split == split) {
                let errors = epochs.entry(evaluation.epoch.to_bits()).or_default();
                errors.extend(evaluation.accuracy.map(|accuracy| 100.0 * (1.0 - accuracy)));
            }
        }
        let points: Vec<Point> = epochs
            .iter()
            .filter_map(|(epoch, errors)| Some(Point::new(f64::from_bits(*epoch), mean(errors)?)))
            .collect();
        if points.len() < 2 {
            continue;
        }
        let id = cell.cell.cell.as_str();
        points.iter().for_each(|point| data.row(&[&id, &cell.cell.batch, &cell.ratio, &point.x, &split, &point.y]));
        let style = ratios.iter().position(|ratio| *ratio == cell.ratio)?;
        let label = if named.contains(&style) { String::new() } else { format!("η/B = {}", words[style]) };
        named.push(style);
        series.push(Series { label, style, points, joined: true, marked: false, banded: false });
    }
    if series.len() < 2 {
        return None;
    }
    let plot = Plot::new(Measure::linear("epoch"), Measure::log(&format!("{split} error (%)")), series);
    Some(Figure {
        name: "ratio-curves".into(),
        title: "Error over epochs by η/B".into(),
        picture: Picture::Plot(Box::new(plot)),
        caption: format!("Mean over seeds of the {split} error; one curve a cell, alike where η/B is alike."),
        found: vec![Finding::from(format!(
            "{} cells at {} ratios are drawn; how far they collapse at the end is told with the figure of the error",
            named.len(),
            ratios.len()
        ))],
        key: false,
        short: None,
        refuted_by: "Curves of one colour that run apart from early on would refute that η/B sets the course.",
        data,
    })
}
