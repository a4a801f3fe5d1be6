//! The data of a series as lines, bands, bars and markers.

use std::fmt::Write;

use super::plot::{Bounds, Frame, Point, Series};
use super::style::{fill, marker, stroke};
use super::svg::Svg;

/// Points of a line that are drawn, about.
const MOST_POINTS: usize = 300;

/// Draws a series, shifted to the right by some pixels so that bars of neighbours don't lie on each other.
pub fn draw(series: &Series, frame: &Frame, shift: f64, svg: &mut Svg) {
    let runs = runs(series, frame);
    for run in &runs {
        if series.banded {
            band(run, series.style, frame, svg);
        }
        if series.joined && run.len() > 1 {
            line(run, series.style, frame, shift, svg);
        }
    }
    for point in runs.iter().flatten() {
        if !series.banded {
            bar(point, series.style, frame, shift, svg);
        }
        let at = [frame.x(point.x) + shift, frame.y(point.y)];
        if series.marked {
            svg.path(&format!("mark {}", class(series.style)), &marker(series.style, at, 4.5));
        }
        if point.chosen {
            svg.path("chosen", &marker(0, at, 8.5));
        }
    }
}

/// Marks of bounds that are drawn, about.
const MOST_BOUNDS: usize = 60;

/// Draws `^` at each bound.
pub fn draw_bounds(bounds: &Bounds, frame: &Frame, svg: &mut Svg) {
    let places = bounds.points.iter().map(|[x, y]| Point::new(*x, *y)).filter(|point| frame.has(point));
    let mut d = String::new();
    for point in thinned(&places.collect::<Vec<_>>(), MOST_BOUNDS) {
        let _ = write!(d, "M{:.1} {:.1}l4 -6l4 6", frame.x(point.x) - 4.0, frame.y(point.y));
    }
    if !d.is_empty() {
        svg.path(&format!("bar {}", class(bounds.style)), &d);
    }
}

fn class(style: usize) -> String {
    stroke(style).trim_start_matches("line ").into()
}

/// Stretches of points that have a place on the axes, thinned where there are very many.
fn runs(series: &Series, frame: &Frame) -> Vec<Vec<Point>> {
    let runs = series.points.split(|point| !frame.has(point));
    runs.filter(|run| !run.is_empty()).map(|run| thinned(run, MOST_POINTS)).collect()
}

/// Of each bucket of points the lowest and the highest.
fn thinned(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(most);
    for bucket in points.chunks((2 * points.len()).div_ceil(most)) {
        let by = |a: &(usize, &Point), b: &(usize, &Point)| a.1.y.total_cmp(&b.1.y);
        let low = bucket.iter().enumerate().min_by(by).map_or(0, |found| found.0);
        let high = bucket.iter().enumerate().max_by(by).map_or(0, |found| found.0);
        kept.push(bucket[low.min(high)]);
        if low != high {
            kept.push(bucket[low.max(high)]);
        }
    }
    kept
}

fn line(run: &[Point], style: usize, frame: &Frame, shift: f64, svg: &mut Svg) {
    svg.path(&stroke(style), &track(run.iter().map(|point| [frame.x(point.x) + shift, frame.y(point.y)])));
}

/// One for each stretch of points that have an interval; a bar where such a point is alone.
fn band(run: &[Point], style: usize, frame: &Frame, svg: &mut Svg) {
    let ends = |point: &Point| Some((point.x, point.low?, point.high?));
    for stretch in run.split(|point| ends(point).is_none()) {
        if let [alone] = stretch {
            bar(alone, style, frame, 0.0, svg);
        } else if !stretch.is_empty() {
            let there = stretch.iter().filter_map(ends).map(|(x, low, _)| [frame.x(x), frame.y(low)]);
            let back = stretch.iter().rev().filter_map(ends).map(|(x, _, high)| [frame.x(x), frame.y(high)]);
            svg.path(&format!("band {}", fill(style)), &format!("{}z", track(there.chain(back))));
        }
    }
}

fn bar(point: &Point, style: usize, frame: &Frame, shift: f64, svg: &mut Svg) {
    if let Some((low, high)) = point.low.zip(point.high) {
        let (x, low, high) = (frame.x(point.x) + shift, frame.y(low), frame.y(high));
        let d = format!("M{0:.1} {low:.1}h8M{0:.1} {high:.1}h8M{x:.1} {low:.1}V{high:.1}", x - 4.0);
        svg.path(&format!("bar {}", class(style)), &d);
    }
}

/// The `d` of a path through places.
fn track(places: impl Iterator<Item = [f64; 2]>) -> String {
    let mut d = String::new();
    for (index, [x, y]) in places.enumerate() {
        let _ = write!(d, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    d
}
