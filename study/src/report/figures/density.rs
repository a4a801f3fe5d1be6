//! The spectral density of the Hessian: nodes and weights of Lanczos quadrature, each broadened to a bell.

use super::{Drawn, Figure, Finding, absent};
use crate::report::data::Data;
use crate::report::figure::{Measure, Picture, Plot, Point, Series};
use crate::report::tables::Cell;
use crate::report::view::View;
use crate::report::words::number;

/// Width of a bell (its standard deviation) as a share of the spectrum's.
const WIDTH: f64 = 0.01;
/// Densities below this share of the highest are cut off: they are the bells' tails.
const FLOOR: f64 = 1e-5;
/// Places at which the density is told.
const PLACES: u32 = 400;

/// One curve a cell, of its first seed.
pub fn draw(view: &View<'_>) -> Drawn {
    let spectra: Vec<(&Cell, Vec<(f64, f64)>)> =
        view.cells().iter().map(|cell| (cell, spectrum(view, cell))).filter(|found| found.1.len() > 1).collect();
    let ends = spectra.iter().flat_map(|found| &found.1).map(|node| node.0);
    let (low, high) =
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), node| (low.min(node), high.max(node)));
    if low >= high || spectra.is_empty() {
        return Err(absent(
            view,
            "probes.csv",
            "no run has a spectral density: add a probe with `measure = \"density\"`",
        ));
    }
    let width = WIDTH * (high - low);
    let places =
        (0..=PLACES).map(|place| low - 4.0 * width + (high - low + 8.0 * width) * f64::from(place) / f64::from(PLACES));
    let places: Vec<f64> = places.collect();
    let mut data = Data::new(&["cell", "eigenvalue", "density"]);
    let (mut series, mut clauses) = (Vec::new(), Vec::new());
    for (cell, nodes) in &spectra {
        let curve: Vec<Point> = places.iter().map(|place| Point::new(*place, density(nodes, *place, width))).collect();
        let id = cell.cell.as_str();
        curve.iter().for_each(|point| data.row(&[&id, &point.x, &point.y]));
        clauses.push(Finding::of(&view.label(cell), clause(nodes, width)));
        let highest = curve.iter().map(|point| point.y).fold(0.0, f64::max);
        // A value without a place on the axis breaks the line.
        let points =
            curve.into_iter().map(|point| if point.y < FLOOR * highest { Point::new(point.x, 0.0) } else { point });
        let (label, style) = (view.label(cell), view.place(cell));
        series.push(Series { label, style, points: points.collect(), joined: true, ..Series::default() });
    }
    let plot = Plot::new(Measure::linear("eigenvalue λ"), Measure::log("density"), series);
    Ok(vec![Figure {
        name: "density".into(),
        title: "Spectral density of the Hessian".into(),
        picture: Picture::Plot(Box::new(plot)),
        caption: format!(
            "The last measurement of each cell's first seed: nodes of stochastic Lanczos quadrature broadened by a Gaussian \
             of standard deviation {}, 1 % of the spectra's range; densities below {} of the highest are cut off.",
            number(width),
            number(FLOOR)
        ),
        found: clauses,
        key: true,
        short: None,
        refuted_by: "A bulk that is not at zero, or outliers that do not move with the batch, would refute that the batch acts \
                     on a few sharp directions over a flat bulk.",
        data,
    }])
}

/// Nodes with weights that sum to 1.
fn spectrum(view: &View<'_>, cell: &Cell) -> Vec<(f64, f64)> {
    let Some((_, job)) = view.runs(cell).find(|(_, job)| !view.last_values(job, "density", "nodes").is_empty()) else {
        return Vec::new();
    };
    let (nodes, weights) = (view.last_values(job, "density", "nodes"), view.last_values(job, "density", "weights"));
    let pairs: Vec<(f64, f64)> =
        nodes.iter().filter_map(|(index, node)| Some((*node, weights.get(index)?.max(0.0)))).collect();
    let sum: f64 = pairs.iter().map(|pair| pair.1).sum();
    if sum > 0.0 { pairs.into_iter().map(|(node, weight)| (node, weight / sum)).collect() } else { Vec::new() }
}

fn density(nodes: &[(f64, f64)], place: f64, width: f64) -> f64 {
    let height = 1.0 / (width * (2.0 * std::f64::consts::PI).sqrt());
    nodes.iter().map(|(node, weight)| weight * height * (-0.5 * ((place - node) / width).powi(2)).exp()).sum()
}

fn clause(nodes: &[(f64, f64)], width: f64) -> String {
    let share =
        |within: &dyn Fn(f64) -> bool| nodes.iter().filter(|node| within(node.0)).map(|node| node.1).sum::<f64>();
    let bulk = share(&|node| node.abs() <= 2.0 * width);
    let negative = share(&|node| node < -2.0 * width);
    let (low, high) =
        nodes.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), node| (l.min(node.0), h.max(node.0)));
    format!(
        "{} % of the eigenvalues lie within two widths of zero and {} % below; they reach from {} to {}",
        number(100.0 * bulk),
        number(100.0 * negative),
        number(low),
        number(high)
    )
}
