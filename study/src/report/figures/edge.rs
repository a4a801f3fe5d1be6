//! The edge of stability: the largest eigenvalue over steps, against what gradient descent can follow. Of the loss that is
//! descended, that is: a λ_max of other samples than all that are trained on has no such threshold.

use std::collections::{BTreeMap, BTreeSet};

use super::{Drawn, Figure, Finding, absent};
use crate::report::data::Data;
use crate::report::figure::{Guide, Measure, Picture, Plot, Point, REFERENCE, Series};
use crate::report::tables::{Cell, Job};
use crate::report::view::View;
use crate::report::words::{count, list, number, whole, with_interval};
use crate::statistics::{Interval, mean, mean_interval, stability_limit};

/// Thresholds that the legend names.
const NAMED: usize = 4;

/// How far beside the threshold λ_max still hovers at it, as a share of it.
const BESIDE: f64 = 0.1;

/// A cell's course.
struct Course<'a> {
    cell: &'a Cell,
    /// What λ_max can't lastingly be above.
    threshold: f64,
    /// The same in words.
    formula: String,
    /// Step and mean λ_max over seeds, least and most.
    points: Vec<Point>,
    /// The same over the threshold that held at the step.
    ratios: Vec<Point>,
    /// λ_max over the threshold in the last quarter of the measurements: mean by seed.
    late: Interval,
}

/// λ_max over steps with each cell's threshold, and their quotient. Cells that don't descend by the whole gradient have
/// no threshold, and are told as such.
pub fn draw(view: &View<'_>) -> Drawn {
    let (mut courses, mut without) = (Vec::new(), Vec::<(String, Vec<String>)>::new());
    for (cell, runs) in view.cells().iter().map(|cell| (cell, measured(view, cell))).filter(|of| !of.1.is_empty()) {
        match all_samples(view, cell).and_then(|()| limit(cell)) {
            Ok((limit, formula)) => courses.extend(course(cell, &runs, limit, formula)),
            Err(reason) => match without.iter_mut().find(|cells| cells.0 == reason) {
                Some(cells) => cells.1.push(cell.cell.clone()),
                None => without.push((reason, vec![cell.cell.clone()])),
            },
        }
    }
    let without: Vec<String> =
        without.iter().map(|(reason, cells)| format!("{reason} (in {})", list_in_short(cells))).collect();
    if courses.is_empty() && !without.is_empty() {
        return Err(without.join("; "));
    }
    if courses.is_empty() {
        let otherwise =
            "no run has four measurements of λ_max: add a probe with `measure = \"eigenvalues\"` and `every`";
        return Err(absent(view, "probes.csv", otherwise));
    }
    let without = if without.is_empty() { String::new() } else { format!(" Not shown: {}.", without.join("; ")) };
    let data = data(&courses);
    let formulas: BTreeSet<&str> = courses.iter().map(|course| course.formula.as_str()).collect();
    let formulas = list(&formulas.into_iter().map(str::to_owned).collect::<Vec<_>>());
    let course = |name: &str, title: &str, plot: Plot, caption: String| Figure {
        name: name.into(),
        title: title.into(),
        picture: Picture::Plot(Box::new(plot)),
        caption,
        found: courses.iter().map(|course| course.clause(view)).collect(),
        key: name == "edge",
        short: None,
        refuted_by: "A λ_max that stays far below the threshold to the end, or lastingly above it, would refute that \
                     training hovers at the edge; so would a late mean whose interval lies outside of 1 ± 0.1.",
        data: data.clone(),
    };
    let band = "λ_max is of the loss of all training samples. Mean over seeds; the band is from the lowest seed to the highest.";
    Ok(vec![
        course(
            "edge",
            "Largest eigenvalue over steps",
            absolute(view, &courses),
            format!("{band} Thin level lines are each cell's threshold, {formulas}.{without}"),
        ),
        course(
            "edge-ratio",
            "Largest eigenvalue over its threshold",
            relative(view, &courses),
            format!("λ_max divided by {formulas}. {band}"),
        ),
    ])
}

/// The first few of many.
fn list_in_short(cells: &[String]) -> String {
    match cells {
        [first, second, third, _, _, ..] => format!("{first}, {second}, {third} and {} more", cells.len() - 3),
        few => list(few),
    }
}

/// Whether a cell's runs have measured the loss that they descend; or why not, in words.
fn all_samples(view: &View<'_>, cell: &Cell) -> Result<(), String> {
    for (_, job) in view.runs(cell).filter(|(_, job)| !job.diverged) {
        let Some(over) = view.over(job, "eigenvalues") else { continue };
        let all =
            over.on == "train" || (over.on == "subset" && over.samples.is_some() && over.samples >= cell.train_samples);
        if !all {
            let samples =
                over.samples.map_or(String::new(), |samples| format!(" ({})", count(samples as usize, "sample")));
            return Err(format!(
                "2/η is the edge of the loss of all training samples, and λ_max was measured on {}{samples}: set \
                 `on = \"train\"` in the probe",
                over.on
            ));
        }
    }
    Ok(())
}

/// λ_max·η at which a cell's descent is at the edge, and the threshold in words; or why there is none.
fn limit(cell: &Cell) -> Result<(f64, String), String> {
    let (Some(samples), Some(descent)) = (cell.train_samples, &cell.descent) else {
        return Err(
            "study.json is of an earlier version and does not tell how weights descend: `lockstep study run` writes \
                    it anew"
                .into(),
        );
    };
    if descent.optimizer != "sgd" {
        return Err(format!("2/η is no edge of the optimiser {:?}", descent.optimizer));
    }
    if !descent.beside.is_empty() {
        return Err(format!("2/η is the edge of plain gradient descent, which is not with {}", list(&descent.beside)));
    }
    if cell.batch < samples {
        let (batch, samples) = (whole(cell.batch), whole(samples));
        return Err(format!("2/η is the edge of full batches: {batch} are not all of the {samples} training samples"));
    }
    let beta = descent.momentum;
    let formula = match (beta == 0.0, descent.nesterov) {
        (true, _) => "2/η".to_owned(),
        (false, false) => format!("2(1 + β)/η with β = {}", number(beta)),
        (false, true) => format!("(2 + 2β)/((1 + 2β)η) with Nesterov's β = {}", number(beta)),
    };
    Ok((stability_limit(beta, descent.nesterov), formula))
}

/// Measurements of a run: step, λ_max, and λ_max·η with the learning rate of the step itself.
type Measured = Vec<(u64, f64, f64)>;

/// Those of each run that has some.
fn measured(view: &View<'_>, cell: &Cell) -> Vec<Measured> {
    let of_run = |job: &Job| {
        let edge: BTreeMap<u64, f64> =
            view.over_steps(job, "eigenvalues", "edge").into_iter().map(|(step, edge)| (step as u64, edge)).collect();
        // Before the first step nothing has been descended.
        let sharpness = view.sharpness(job).into_iter().filter(|(step, value)| *step > 0.0 && *value > 0.0);
        let with_rate = sharpness.filter_map(|(step, value)| {
            let rate = edge.get(&(step as u64)).map(|edge| 2.0 * edge);
            Some((step as u64, value, rate.or(cell.learning_rate.map(|rate| rate * value))?))
        });
        with_rate.collect::<Measured>()
    };
    let runs = view.runs(cell).filter(|(_, job)| !job.diverged).map(|(_, job)| of_run(job));
    runs.filter(|measured| measured.len() >= 4).collect()
}

fn course<'a>(cell: &'a Cell, runs: &[Measured], limit: f64, formula: String) -> Option<Course<'a>> {
    let threshold = limit / cell.learning_rate?;
    let (mut values, mut ratios, mut late) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for measured in runs {
        let from = measured.len() - measured.len().div_ceil(4);
        late.extend(mean(&measured[from..].iter().map(|at| at.2 / limit).collect::<Vec<_>>()));
        for (step, value, product) in measured {
            values.entry(*step).or_insert_with(Vec::new).push(*value);
            ratios.entry(*step).or_insert_with(Vec::new).push(product / limit);
        }
    }
    let (points, ratios) = (points(&values), points(&ratios));
    Some(Course { cell, threshold, formula, points, ratios, late: mean_interval(&late)? })
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
    fn clause(&self, view: &View<'_>) -> Finding {
        let threshold = &self.formula;
        let off = 100.0 * (self.late.value - 1.0);
        let (near, far) = (1.0 - BESIDE, 1.0 + BESIDE);
        let verdict = match self.late.ends() {
            None => format!(", {threshold}: {}", self.late.lacks().unwrap_or_default()),
            Some([low, high]) if low >= near && high <= far => {
                format!(", so it hovers at {threshold} ({off:+.0} %)").replace('-', "−")
            }
            Some([_, high]) if high < near => {
                format!(", so it stays {:.0} % below {threshold}: the edge is not reached", -off)
            }
            Some([low, _]) if low > far => {
                format!(", so it is {off:.0} % above {threshold}: no steady course at the edge")
            }
            Some([low, high]) => format!(
                ", {threshold}: the interval reaches from {} to {}, so it is not shown whether it hovers there",
                number(low),
                number(high)
            ),
        };
        let rate = number(self.cell.learning_rate.unwrap_or_default());
        let late = with_interval(&self.late);
        let label = view.label(self.cell);
        let rate = if label.contains("η = ") { String::new() } else { format!("at η = {rate} ") };
        let said = format!("{rate}in the last quarter λ_max is {late} of the threshold{verdict}");
        Finding::of(&label, said)
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
    // A line's threshold is named where that leaves a legend that can be read.
    let named = courses.len() <= NAMED;
    let guide = |course: &Course<'_>| Guide {
        label: if named { format!("threshold {}", number(course.threshold)) } else { String::new() },
        style: view.place(course.cell),
        at: course.threshold,
        upright: false,
    };
    let guides = courses.iter().map(guide).collect();
    Plot {
        guides,
        ..Plot::new(Measure::linear("step"), Measure::log("λ_max (loss per squared unit of weight)"), series)
    }
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
