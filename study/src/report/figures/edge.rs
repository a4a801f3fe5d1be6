//! The edge of stability: the largest eigenvalue over steps, against what gradient descent can follow.

use std::collections::BTreeMap;

use super::{Drawn, Figure, absent};
use crate::report::data::Data;
use crate::report::figure::{Guide, Measure, Picture, Plot, Point, REFERENCE, Series};
use crate::report::tables::Cell;
use crate::report::view::View;
use crate::report::words::{number, with_interval};
use crate::statistics::{Interval, mean, mean_interval};

/// A cell's course.
struct Course<'a> {
    cell: &'a Cell,
    /// What λ_max can't lastingly be above.
    threshold: f64,
    /// Step and mean λ_max over seeds, least and most.
    points: Vec<Point>,
    /// The same over the threshold that held at the step.
    ratios: Vec<Point>,
    /// λ_max over the threshold in the last quarter of the measurements: mean by seed.
    late: Interval,
}

/// λ_max over steps with each cell's threshold, and their quotient.
pub fn draw(view: &View<'_>) -> Drawn {
    let momentum = view.tables.study.job_key(["optimizer", "momentum"]).and_then(|value| value.as_f64()).unwrap_or(0.0);
    let courses: Vec<Course<'_>> = view.cells().iter().filter_map(|cell| course(view, cell, momentum)).collect();
    if courses.is_empty() {
        let otherwise =
            "no run has four measurements of λ_max: add a probe with `measure = \"eigenvalues\"` and `every`";
        return Err(absent(view, "probes.csv", otherwise));
    }
    let data = data(&courses);
    let threshold = match momentum {
        0.0 => "2/η".to_owned(),
        momentum => format!("2(1 + β)/η with momentum β = {}", number(momentum)),
    };
    let course = |name: &str, title: &str, plot: Plot, caption: String| Figure {
        name: name.into(),
        title: title.into(),
        picture: Picture::Plot(Box::new(plot)),
        caption,
        found: courses.iter().map(|course| course.clause(view, &threshold)).collect(),
        key: name == "edge",
        refuted_by: "A λ_max that stays far below the threshold to the end, or lastingly above it, would refute that \
                     training hovers at the edge; so would a late mean whose interval leaves 1 ± 0.1.",
        data: data.clone(),
    };
    let band = "Mean over seeds; the band is from the lowest seed to the highest.";
    Ok(vec![
        course(
            "edge",
            "Largest eigenvalue over steps",
            absolute(view, &courses),
            format!("{band} Thin level lines are each cell's {threshold}."),
        ),
        course(
            "edge-ratio",
            "Largest eigenvalue over its threshold",
            relative(view, &courses),
            format!("λ_max divided by {threshold}. {band}"),
        ),
    ])
}

fn course<'a>(view: &View<'a>, cell: &'a Cell, momentum: f64) -> Option<Course<'a>> {
    let threshold = 2.0 * (1.0 + momentum) / cell.learning_rate?;
    let (mut values, mut ratios, mut late) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (_, job) in view.runs(cell).filter(|(_, job)| !job.diverged) {
        // λ_max·η/2 with the learning rate of the step itself.
        let edge: BTreeMap<u64, f64> =
            view.over_steps(job, "eigenvalues", "edge").into_iter().map(|(step, edge)| (step as u64, edge)).collect();
        let mut measured = Vec::new();
        // Before the first step nothing has been descended.
        for (step, value) in view.sharpness(job).into_iter().filter(|(step, value)| *step > 0.0 && *value > 0.0) {
            let ratio = edge.get(&(step as u64)).map_or(value / threshold, |edge| edge / (1.0 + momentum));
            measured.push((step as u64, value, ratio));
        }
        if measured.len() >= 4 {
            let from = measured.len() - measured.len().div_ceil(4);
            late.extend(mean(&measured[from..].iter().map(|at| at.2).collect::<Vec<_>>()));
            for (step, value, ratio) in measured {
                values.entry(step).or_insert_with(Vec::new).push(value);
                ratios.entry(step).or_insert_with(Vec::new).push(ratio);
            }
        }
    }
    Some(Course { cell, threshold, points: points(&values), ratios: points(&ratios), late: mean_interval(&late)? })
}

/// Means over seeds with their ends.
fn points(steps: &BTreeMap<u64, Vec<f64>>) -> Vec<Point> {
    let point = |(step, values): (&u64, &Vec<f64>)| {
        let ends =
            values.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(*value), high.max(*value)));
        Some(Point { x: *step as f64, y: mean(values)?, low: Some(ends.0), high: Some(ends.1), chosen: false })
    };
    steps.iter().filter_map(point).collect()
}

impl Course<'_> {
    fn clause(&self, view: &View<'_>, threshold: &str) -> String {
        let off = 100.0 * (self.late.value - 1.0);
        let verdict = match off {
            off if off.abs() <= 10.0 => format!("hovers at {threshold} ({off:+.0} %)").replace('-', "−"),
            off if off < 0.0 => format!("stays {:.0} % below {threshold}: the edge is not reached", -off),
            off => format!("is {off:.0} % above {threshold}: no steady course at the edge"),
        };
        let rate = number(self.cell.learning_rate.unwrap_or_default());
        let late = with_interval(&self.late);
        let label = view.label(self.cell);
        let rate = if label.contains("η = ") { String::new() } else { format!(" (η = {rate})") };
        format!("“{label}”{rate}: in the last quarter λ_max is {late} of the threshold, so it {verdict}")
    }

    fn series(&self, view: &View<'_>, points: &[Point]) -> Series {
        Series {
            label: view.label(self.cell),
            style: view.place(self.cell),
            points: points.to_vec(),
            joined: true,
            marked: points.len() <= 25,
            banded: true,
        }
    }
}

fn absolute(view: &View<'_>, courses: &[Course<'_>]) -> Plot {
    let series = courses.iter().map(|course| course.series(view, &course.points)).collect();
    let guide = |course: &Course<'_>| Guide {
        label: String::new(),
        style: view.place(course.cell),
        at: course.threshold,
        upright: false,
    };
    let guides = courses.iter().map(guide).collect();
    Plot { guides, ..Plot::new(Measure::linear("step"), Measure::log("λ_max"), series) }
}

fn relative(view: &View<'_>, courses: &[Course<'_>]) -> Plot {
    let series = courses.iter().map(|course| course.series(view, &course.ratios)).collect();
    let guides = vec![Guide { label: "the edge".into(), style: REFERENCE, at: 1.0, upright: false }];
    let y = Measure::linear("λ_max ÷ threshold").covering(&[0.0, 1.2]);
    Plot { guides, ..Plot::new(Measure::linear("step"), y, series) }
}

fn data(courses: &[Course<'_>]) -> Data {
    let mut data = Data::new(&["cell", "learning_rate", "threshold", "step", "eigenvalue", "low", "high", "ratio"]);
    for course in courses {
        for (point, ratio) in course.points.iter().zip(&course.ratios) {
            let (cell, rate) = (course.cell.cell.as_str(), course.cell.learning_rate);
            data.row(&[&cell, &rate, &course.threshold, &point.x, &point.y, &point.low, &point.high, &ratio.y]);
        }
    }
    data
}
