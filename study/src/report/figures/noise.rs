//! The noise scale over steps.

use std::collections::BTreeMap;

use super::{Drawn, Figure, absent};
use crate::report::data::Data;
use crate::report::figure::{Measure, Picture, Plot, Point, Series};
use crate::report::tables::{Cell, Noise};
use crate::report::view::View;
use crate::report::words::{number, with_interval};
use crate::statistics::{mean, mean_interval};

/// B_simple over steps, by cell.
pub fn draw(view: &View<'_>) -> Drawn {
    let mut data = Data::new(&["cell", "step", "noise_scale", "low", "high"]);
    let (mut series, mut clauses) = (Vec::new(), Vec::new());
    for cell in view.cells() {
        let points = points(view, cell);
        if points.is_empty() {
            continue;
        }
        let id = cell.cell.as_str();
        points.iter().for_each(|point| data.row(&[&id, &point.x, &point.y, &point.low, &point.high]));
        clauses.extend(clause(view, cell, &points));
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
    let plot = Plot::new(Measure::linear("step"), Measure::log("B_simple (samples)"), series);
    Ok(vec![Figure {
        name: "noise-scale".into(),
        title: "Noise scale of the gradient over steps".into(),
        picture: Picture::Plot(Box::new(plot)),
        caption:
            "B_simple = trΣ/‖G‖², a ratio of means over seeds; the band is the mean of the runs' jackknife intervals. \
                  Steps where ‖G‖² is not above zero have no scale and are left out."
                .into(),
        found: clauses,
        key: true,
        refuted_by: "That gradients become noisier as training goes on would be refuted by a noise scale that stays or falls; \
                     values that depend on the batch size at equal progress would put the estimate in doubt.",
        data,
    }])
}

fn points(view: &View<'_>, cell: &Cell) -> Vec<Point> {
    let mut steps: BTreeMap<u64, Vec<&Noise>> = BTreeMap::new();
    for noise in view.runs(cell).flat_map(|(_, job)| view.tables.noise.get(&job.job).into_iter().flatten()) {
        steps.entry(noise.step as u64).or_default().push(noise);
    }
    let point = |(step, noises): (&u64, &Vec<&Noise>)| {
        let of =
            |part: fn(&Noise) -> Option<f64>| mean(&noises.iter().filter_map(|noise| part(noise)).collect::<Vec<_>>());
        let (trace, squared_norm) = (of(|noise| noise.trace)?, of(|noise| noise.squared_norm)?);
        let y = trace / squared_norm;
        let (low, high) = (of(|noise| noise.low), of(|noise| noise.high));
        (squared_norm > 0.0 && y > 0.0).then_some(Point { x: *step as f64, y, low, high, chosen: false })
    };
    steps.iter().filter_map(point).collect()
}

/// The run average, and how the last quarter compares with the first.
fn clause(view: &View<'_>, cell: &Cell, points: &[Point]) -> Option<String> {
    let scales: Vec<f64> = view.values(cell, |job| view.noise_scale(job)).into_values().collect();
    let average = match mean_interval(&scales) {
        Some(scale) => format!("the run average is {} samples", with_interval(&scale)),
        None => "the run average is not identified (mean ‖G‖² is not above zero)".into(),
    };
    let quarter = points.len().div_ceil(4);
    let part = |points: &[Point]| mean(&points.iter().map(|point| point.y).collect::<Vec<_>>());
    let course = match points.len() {
        0..4 => String::new(),
        _ => {
            let (early, late) = (part(&points[..quarter])?, part(&points[points.len() - quarter..])?);
            format!(", from {} in the first quarter to {} in the last", number(early), number(late))
        }
    };
    Some(format!("“{}”: {average}{course}", view.label(cell)))
}
