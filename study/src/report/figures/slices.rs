//! The loss around the minimum: along a filter-normalised direction, and over two of them.

use std::collections::BTreeMap;

use super::{Drawn, Figure, Finding, absent};
use crate::report::data::Data;
use crate::report::figure::{Measure, Picture, Plot, Point, Series, Tile};
use crate::report::tables::{Cell, Job};
use crate::report::view::View;
use crate::report::words::{change, count, number};
use crate::statistics::{mean, mean_interval};

/// Loss along a random direction, by cell.
pub fn slice(view: &View<'_>) -> Drawn {
    let mut data = Data::new(&["cell", "alpha", "loss", "low", "high"]);
    let (mut series, mut clauses) = (Vec::new(), Vec::new());
    for cell in view.cells() {
        let Some((points, clause)) = along(view, cell) else { continue };
        let id = cell.cell.as_str();
        points.iter().for_each(|point| data.row(&[&id, &point.x, &point.y, &point.low, &point.high]));
        clauses.push(clause);
        let (label, style) = (view.label(cell), view.place(cell));
        series.push(Series { label, style, points, joined: true, marked: false, banded: true });
    }
    if series.is_empty() {
        return Err(absent(view, "probes.csv", "no run has a loss slice: add a probe with `measure = \"slice\"`"));
    }
    let y = if series.iter().flat_map(|s| &s.points).all(|p| p.y > 0.0) { Measure::log } else { Measure::linear };
    let plot = Plot::new(Measure::linear("α (norms of each filter)"), y("loss at w + α·d"), series);
    Ok(vec![Figure {
        name: "slice".into(),
        title: "Loss along a random direction".into(),
        picture: Picture::Plot(Box::new(plot)),
        caption:
            "Directions are filter-normalised (Li et al. 2018) and differ by seed; mean over seeds, the band from the \
                  lowest to the highest."
                .into(),
        found: clauses,
        key: true,
        short: None,
        refuted_by: "Slices of large batches that are as wide as those of small ones would refute that their minima are \
                     narrower; a single random direction sees little of a few sharp ones.",
        data,
    }])
}

fn along(view: &View<'_>, cell: &Cell) -> Option<(Vec<Point>, Finding)> {
    let mut places: BTreeMap<u64, (f64, Vec<f64>)> = BTreeMap::new();
    let mut rises = Vec::new();
    for (_, job) in view.runs(cell) {
        let (alphas, losses) = (view.last_values(job, "slice", "alpha"), view.last_values(job, "slice", "loss"));
        for (index, alpha) in &alphas {
            let place = places.entry(*index).or_insert((*alpha, Vec::new()));
            place.1.extend(losses.get(index));
        }
        rises.extend(rise(&alphas, &losses));
    }
    let point = |(alpha, losses): &(f64, Vec<f64>)| {
        let (low, high) = losses.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
        Some(Point { x: *alpha, y: mean(losses)?, low: Some(low), high: Some(high), chosen: false })
    };
    let points: Vec<Point> = places.values().filter_map(point).collect();
    let rise = mean_interval(&rises.iter().map(|rise| rise.1).collect::<Vec<_>>())?;
    let at = number(rises.first()?.0);
    let seeds = count(rises.len(), "seed");
    let said = format!("at α = ±{at} the loss {} ({seeds})", change(&rise, ""));
    Some((points, Finding::of(&view.label(cell), said)))
}

/// By how much the loss is higher half-way to the ends than in the middle.
fn rise(alphas: &BTreeMap<u64, f64>, losses: &BTreeMap<u64, f64>) -> Option<(f64, f64)> {
    let half = alphas.values().fold(0.0_f64, |most, alpha| most.max(alpha.abs())) / 2.0;
    let nearest = |target: f64| {
        let by = |a: &(&u64, &f64), b: &(&u64, &f64)| (a.1 - target).abs().total_cmp(&(b.1 - target).abs());
        alphas.iter().min_by(by).and_then(|(index, alpha)| Some((*alpha, *losses.get(index)?)))
    };
    let ((place, right), (_, left), (_, middle)) = (nearest(half)?, nearest(-half)?, nearest(0.0)?);
    Some((place, f64::midpoint(left, right) - middle))
}

/// Maps that are shown.
const MOST_PLANES: usize = 4;

/// Loss over two random directions, one map a cell, of its first seed.
pub fn plane(view: &View<'_>) -> Drawn {
    let planes: Vec<Figure> = view.cells().iter().filter_map(|cell| map(view, cell)).take(MOST_PLANES).collect();
    if planes.is_empty() {
        return Err(absent(view, "probes.csv", "no run has a loss plane: add a probe with `measure = \"plane\"`"));
    }
    Ok(planes)
}

fn map(view: &View<'_>, cell: &Cell) -> Option<Figure> {
    let (alphas, losses) = view.runs(cell).find_map(|(_, job)| grid(view, job))?;
    let (low, high) = losses.iter().flatten().fold((f64::INFINITY, 0.0_f64), |(l, h), x| (l.min(*x), h.max(*x)));
    let span = if low > 0.0 && high > low { (high / low).ln() } else { return None };
    let mut data = Data::new(&["alpha", "beta", "loss"]);
    let mut tiles = Vec::new();
    let half = (alphas[1] - alphas[0]) / 2.0;
    for (place, loss) in losses.iter().enumerate() {
        let (alpha, beta) = (alphas[place % alphas.len()], alphas[place / alphas.len()]);
        data.row(&[&alpha, &beta, loss]);
        let level = loss.map_or(1.0, |loss| (loss / low).ln() / span);
        tiles.push(Tile { x: [alpha - half, alpha + half], y: [beta - half, beta + half], level });
    }
    let mut plot =
        Plot::new(Measure::linear("α (norms of each filter)"), Measure::linear("β (norms of each filter)"), Vec::new());
    plot.tiles = Some((tiles, [format!("loss {}", number(low)), number(high)]));
    let least = losses.iter().position(|loss| *loss == Some(low))?;
    let (alpha, beta) = (alphas[least % alphas.len()], alphas[least / alphas.len()]);
    Some(Figure {
        name: format!("plane-{}", cell.cell.chars().filter(char::is_ascii_alphanumeric).collect::<String>()),
        title: format!("Loss over two random directions: {}", view.label(cell)),
        picture: Picture::Plot(Box::new(plot)),
        caption: "Grey levels are even steps of the loss's logarithm; where it is not finite they are the darkest."
            .into(),
        found: vec![Finding::from(format!(
            "the loss is lowest ({}) at α = {}, β = {} and rises to {} within the map",
            number(low),
            number(alpha),
            number(beta),
            number(high)
        ))],
        key: false,
        short: None,
        refuted_by: "A lowest point away from the middle would refute that training has ended at a minimum of these directions.",
        data,
    })
}

/// Values of α and β, and losses row by row.
fn grid(view: &View<'_>, job: &Job) -> Option<(Vec<f64>, Vec<Option<f64>>)> {
    let alphas: Vec<f64> = view.last_values(job, "plane", "alpha").into_values().collect();
    let losses = view.last_values(job, "plane", "loss");
    let most = alphas.len() * alphas.len();
    let fits = alphas.len() >= 2 && losses.keys().all(|index| (*index as usize) < most) && !losses.is_empty();
    fits.then(|| (0..most as u64).map(|index| losses.get(&index).copied()).collect()).map(|losses| (alphas, losses))
}
