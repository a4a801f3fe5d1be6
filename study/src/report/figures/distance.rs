//! How far the weights go from where they began: by the logarithm of time, or by its root.

use std::collections::BTreeMap;

use super::{Drawn, Figure, Finding, absent};
use crate::report::data::Data;
use crate::report::figure::{Measure, Picture, Plot, Point, Series};
use crate::report::tables::Cell;
use crate::report::view::View;
use crate::report::words::with_interval;
use crate::statistics::{fit_line, mean, mean_interval};

/// Distance over the logarithm of the step, by cell.
pub fn draw(view: &View<'_>) -> Drawn {
    let mut data = Data::new(&["cell", "step", "distance"]);
    let (mut series, mut clauses) = (Vec::new(), Vec::new());
    for cell in view.cells() {
        let points = points(view, cell);
        let Some(line) = fit_line(&points.iter().map(|p| (p.x.ln(), p.y)).collect::<Vec<_>>()) else { continue };
        let id = cell.cell.as_str();
        points.iter().for_each(|point| data.row(&[&id, &point.x, &point.y]));
        clauses.extend(clause(view, cell));
        let (label, style) = (view.label(cell), view.place(cell));
        let ends = [points[0].x, points[points.len() - 1].x];
        let fitted = ends.map(|step| Point::new(step, line.at(step.ln()))).to_vec();
        series.push(Series { label, style, points, joined: false, marked: true, banded: false });
        series.push(Series { label: String::new(), style, points: fitted, joined: true, ..Series::default() });
    }
    if series.is_empty() {
        let otherwise =
            "no run has three distances from its initial weights: add a probe with `measure = \"weights\"` and `every`";
        return Err(absent(view, "probes.csv", otherwise));
    }
    let plot = Plot::new(Measure::log("step t"), Measure::linear("‖w(t) − w(0)‖"), series);
    Ok(vec![Figure {
        name: "distance".into(),
        title: "Distance from the initial weights".into(),
        picture: Picture::Plot(Box::new(plot)),
        caption:
            "Mean over seeds; lines are least-squares fits of a + b·ln t (Hoffer et al. 2017: ultra-slow diffusion)."
                .into(),
        found: clauses,
        key: true,
        short: None,
        refuted_by: "A fit by √t (ordinary diffusion) that explains more than the one by ln t would refute ultra-slow diffusion.",
        data,
    }])
}

fn points(view: &View<'_>, cell: &Cell) -> Vec<Point> {
    let mut steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (_, job) in view.runs(cell).filter(|(_, job)| !job.diverged) {
        for (step, distance) in view.over_steps(job, "weights", "distance").into_iter().filter(|(step, _)| *step >= 1.0)
        {
            steps.entry(step as u64).or_default().push(distance);
        }
    }
    steps.iter().filter_map(|(step, distances)| Some(Point::new(*step as f64, mean(distances)?))).collect()
}

/// Slope and r² of each seed's own fit, and r² of the other law.
fn clause(view: &View<'_>, cell: &Cell) -> Option<Finding> {
    let (mut slopes, mut logarithmic, mut roots) = (Vec::new(), Vec::new(), Vec::new());
    for (_, job) in view.runs(cell).filter(|(_, job)| !job.diverged) {
        let mut measured = view.over_steps(job, "weights", "distance");
        measured.retain(|(step, _)| *step >= 1.0);
        let over = |time: fn(f64) -> f64| fit_line(&measured.iter().map(|(t, d)| (time(*t), *d)).collect::<Vec<_>>());
        let Some((by_logarithm, by_root)) = over(f64::ln).zip(over(f64::sqrt)) else { continue };
        slopes.push(by_logarithm.slope);
        logarithmic.push(by_logarithm.r_squared);
        roots.push(by_root.r_squared);
    }
    let (by_logarithm, by_root) = (mean(&logarithmic)?, mean(&roots)?);
    let verdict =
        if by_logarithm > by_root { "ln t describes it better" } else { "√t describes it at least as well" };
    let slope = with_interval(&mean_interval(&slopes)?);
    let said = format!(
        "slope {slope} per unit of ln t with r² = {by_logarithm:.3}, against {by_root:.3} for √t, so {verdict}"
    );
    Some(Finding::of(&view.label(cell), said))
}
