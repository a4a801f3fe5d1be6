//! The noise scale over steps.

use std::collections::BTreeMap;

use super::{Drawn, Figure, Finding, absent};
use crate::report::data::Data;
use crate::report::figure::{Bounds, Measure, Picture, Plot, Point, Series};
use crate::report::tables::{Cell, Noise};
use crate::report::view::{BySeed, View};
use crate::report::words::{count, number, with_interval};
use crate::statistics::{Interval, geometric_interval, mean};

/// B_simple over steps, by cell.
pub fn draw(view: &View<'_>) -> Drawn {
    let mut data = Data::new(&["cell", "step", "noise_scale", "low", "high", "above", "runs", "identified"]);
    let (mut series, mut bounds, mut clauses) = (Vec::new(), Vec::new(), Vec::new());
    for cell in view.cells() {
        let steps = steps(view, cell);
        let points: Vec<Point> = steps.iter().filter_map(|step| step.point).collect();
        let above: Vec<[f64; 2]> = steps.iter().filter_map(|step| Some([step.step as f64, step.above?])).collect();
        if points.is_empty() && above.is_empty() {
            continue;
        }
        for Step { step, point, above, runs, identified } in &steps {
            let of = |part: fn(&Point) -> Option<f64>| point.as_ref().and_then(part);
            let (scale, low, high) = (of(|point| Some(point.y)), of(|point| point.low), of(|point| point.high));
            data.row(&[&cell.cell.as_str(), step, &scale, &low, &high, above, runs, identified]);
        }
        clauses.extend(clause(view, cell, &points));
        bounds.push(Bounds { style: view.place(cell), points: above });
        series.push(Series {
            label: view.label(cell),
            style: view.place(cell),
            marked: points.len() <= 25,
            points,
            joined: true,
            banded: true,
        });
    }
    if series.is_empty() {
        return Err(absent(
            view,
            "steps.csv",
            "no step has an identified noise scale: it takes two micro-batches a batch",
        ));
    }
    let marks = match bounds.iter().any(|bounds| !bounds.points.is_empty()) {
        true => {
            " ^ marks steps at which runs' own scales are not identified: they are above the mark (mean over these runs)."
        }
        false => "",
    };
    let plot = Plot { bounds, ..Plot::new(Measure::linear("step"), Measure::log("B_simple (samples)"), series) };
    Ok(vec![Figure {
        name: "noise-scale".into(),
        title: "Noise scale of the gradient over steps".into(),
        picture: Picture::Plot(Box::new(plot)),
        caption: format!(
            "B_simple = trΣ/‖G‖², a ratio of means over seeds; the band is the mean of the runs' jackknife intervals. Where \
             the mean ‖G‖² is not above zero the curve has no point.{marks}"
        ),
        found: clauses,
        key: true,
        short: short(view),
        refuted_by: "That gradients become noisier as training goes on would be refuted by a noise scale that stays or falls; \
                     values that depend on the batch size at equal progress would put the estimate in doubt.",
        data,
    }])
}

/// Per cent of a cell's reported steps that may lack a scale without its mean being left out of the range of means.
const MOST_LOST: f64 = 5.0;

/// The run averages of all cells together.
fn short(view: &View<'_>) -> Option<String> {
    let told = |cell: &Cell| (view.noise(&[cell]).lost(), average(view.values(cell, |job| view.mean_scale(job))));
    let reported = view.cells().iter().filter(|cell| view.noise(&[cell]).reports > 0);
    let cells: Vec<(f64, Option<Interval>)> = reported.map(told).collect();
    // Few cells are told one by one.
    if cells.len() <= 2 {
        return None;
    }
    let kept = cells.iter().filter(|(lost, _)| *lost <= MOST_LOST).filter_map(|(_, scale)| Some(scale.as_ref()?.value));
    let kept: Vec<f64> = kept.collect();
    let (low, high) = kept.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), scale| (l.min(*scale), h.max(*scale)));
    let worst = cells.iter().map(|cell| cell.0).fold(0.0, f64::max);
    let lost = format!("(at up to {} %), so that means over the others may be too low", number(worst));
    let unidentified =
        format!("the scale is not identified at more than {} % of the reported steps {lost}", number(MOST_LOST));
    let range = match kept.len() {
        1 => format!("the mean over the run is {} samples", number(low)),
        _ => format!("the mean over the run is from {} to {} samples between cells", number(low), number(high)),
    };
    Some(match cells.len() - kept.len() {
        0 if worst > 0.0 => format!("{range}; some reported steps of cells have no identified scale {lost}"),
        0 => range,
        all if all == cells.len() => format!("in all {} {unidentified}", count(all, "cell")),
        some => format!("{range}; left out: {} where {unidentified}", count(some, "cell")),
    })
}

/// The geometric mean over seeds.
fn average(scales: BySeed) -> Option<Interval> {
    geometric_interval(&scales.into_values().filter(|scale| *scale > 0.0).collect::<Vec<_>>())
}

/// A step of a cell.
struct Step {
    step: u64,
    /// The ratio of means over runs, if the mean ‖G‖² is above 0.
    point: Option<Point>,
    /// Mean of what the scales are above, over the runs in which they are not identified.
    above: Option<f64>,
    /// Runs that told of the step.
    runs: usize,
    /// Those of them with a scale of their own.
    identified: usize,
}

fn steps(view: &View<'_>, cell: &Cell) -> Vec<Step> {
    let mut steps: BTreeMap<u64, Vec<&Noise>> = BTreeMap::new();
    let jobs = view.runs(cell).filter(|(_, job)| !job.diverged);
    for noise in jobs.flat_map(|(_, job)| view.tables.noise.get(&job.job).into_iter().flatten()) {
        steps.entry(noise.step as u64).or_default().push(noise);
    }
    let step = |(step, noises): (&u64, &Vec<&Noise>)| {
        let of =
            |part: fn(&Noise) -> Option<f64>| mean(&noises.iter().filter_map(|noise| part(noise)).collect::<Vec<_>>());
        let ratio = of(|noise| noise.trace).zip(of(|noise| noise.squared_norm));
        let scale = ratio.filter(|ratio| ratio.1 > 0.0).map(|ratio| ratio.0 / ratio.1).filter(|scale| *scale > 0.0);
        let (low, high) = (of(|noise| noise.low), of(|noise| noise.high));
        Step {
            step: *step,
            point: scale.map(|y| Point { x: *step as f64, y, low, high, chosen: false }),
            above: of(|noise| noise.above.filter(|_| noise.scale.is_none())),
            runs: noises.len(),
            identified: noises.iter().filter(|noise| noise.scale.is_some()).count(),
        }
    };
    steps.iter().map(step).collect()
}

/// The run averages of both kinds, and how the last quarter compares with the first.
fn clause(view: &View<'_>, cell: &Cell, points: &[Point]) -> Option<Finding> {
    let of_run = match average(view.values(cell, |job| view.mean_scale(job))) {
        Some(scale) => {
            let caveat = view.noise(&[cell]).caveat();
            format!("the mean over the run is {} samples{caveat}", with_interval(&scale))
        }
        None => "no reported step has an identified scale".into(),
    };
    let of_means = match average(view.values(cell, |job| view.scale_of_means(job))) {
        Some(scale) => format!("mean trΣ over mean ‖G‖² is {}", with_interval(&scale)),
        None => "mean ‖G‖² is not above zero".into(),
    };
    let quarter = points.len().div_ceil(4);
    let part = |points: &[Point]| mean(&points.iter().map(|point| point.y).collect::<Vec<_>>());
    let course = match points.len() {
        0..4 => String::new(),
        _ => {
            let (early, late) = (part(&points[..quarter])?, part(&points[points.len() - quarter..])?);
            format!("; the curve goes from {} in its first quarter to {} in its last", number(early), number(late))
        }
    };
    Some(Finding::of(&view.label(cell), format!("{of_run}; {of_means}{course}")))
}
