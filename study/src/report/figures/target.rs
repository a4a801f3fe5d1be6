//! Steps and samples to a target: perfect scaling, the hyperbola, the critical batch beside the measured noise scale.

use super::batch_noise::BatchNoise;
use super::{Drawn, Figure, Finding, joined};
use crate::report::data::Data;
use crate::report::figure::{Guide, Measure, Note, Picture, Plot, Point, REFERENCE, Series};
use crate::report::tables::Job;
use crate::report::view::{Line, RunNoise, View};
use crate::report::words::{number, whole, with_interval};
use crate::statistics::{
    FEWEST_SEEDS, HyperbolaFit, Interval, Unfit, fit_hyperbola, geometric_interval, geometric_mean,
};

/// A line's way to the target.
struct Way<'a> {
    line: &'a Line<'a>,
    /// Batch, steps with their interval, seeds that reached the target, seeds that did not.
    reached: Vec<(f64, Interval, usize, usize)>,
    fit: Result<HyperbolaFit, Unfit>,
    /// Geometric mean of the cells' run averages of B_simple, the least, the most.
    noise_scale: Option<[f64; 3]>,
    /// The same of mean trΣ over mean ‖G‖².
    scale_of_means: Option<[f64; 3]>,
    noise: RunNoise,
    /// What each batch size tells of its own noise.
    by_batch: Vec<BatchNoise<'a>>,
}

fn ways<'a>(view: &'a View<'a>) -> Result<Vec<Way<'a>>, String> {
    let ways: Vec<Way<'a>> = view.lines().iter().filter_map(|line| way(view, line)).collect();
    if ways.is_empty() {
        let reason =
            "no run has reached a target at two batch sizes: set `schedule.target_accuracy` or `schedule.target_loss`";
        return Err(reason.into());
    }
    Ok(ways)
}

fn way<'a>(view: &'a View<'a>, line: &'a Line<'a>) -> Option<Way<'a>> {
    let mut reached = Vec::new();
    let mut seeds: std::collections::BTreeMap<u64, Vec<(f64, f64)>> = std::collections::BTreeMap::new();
    for cell in &line.cells {
        let steps = view.values(cell, |job| job.steps_to_target.filter(|steps| *steps > 0.0));
        let Some(mean) = geometric_interval(&steps.values().copied().collect::<Vec<_>>()) else { continue };
        let missed = view.runs(cell).count() - steps.len();
        reached.push((cell.batch as f64, mean, steps.len(), missed));
        for (seed, steps) in steps {
            seeds.entry(seed).or_default().push((cell.batch as f64, steps));
        }
    }
    if reached.len() < 2 {
        return None;
    }
    let fit = fit_hyperbola(&seeds.into_values().collect::<Vec<_>>());
    let noise_scale = over_cells(view, line, |job| view.mean_scale(job));
    let scale_of_means = over_cells(view, line, |job| view.scale_of_means(job));
    let by_batch = line.cells.iter().map(|cell| BatchNoise::of(view, cell)).collect();
    Some(Way { line, reached, fit, noise_scale, scale_of_means, noise: view.noise(&line.cells), by_batch })
}

/// Geometric mean over cells (and seeds) of a scale, with the least and the most of the cells.
fn over_cells<'a>(view: &View<'a>, line: &Line<'a>, scale: impl Fn(&'a Job) -> Option<f64>) -> Option<[f64; 3]> {
    let scales = line.cells.iter().filter_map(|cell| {
        let values = view.values(cell, |job| scale(job).filter(|scale| *scale > 0.0));
        geometric_mean(&values.into_values().collect::<Vec<_>>())
    });
    let scales: Vec<f64> = scales.collect();
    let ends = scales.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), scale| (low.min(*scale), high.max(*scale)));
    geometric_mean(&scales).map(|middle| [middle, ends.0, ends.1])
}

impl Way<'_> {
    fn clause(&self) -> Finding {
        let missed: usize = self.reached.iter().map(|cell| cell.3).sum();
        let missed = match missed {
            0 => String::new(),
            1 => "; 1 run did not reach the target and is left out".into(),
            missed => format!("; {missed} runs did not reach the target and are left out"),
        };
        let fitted = match &self.fit {
            Err(reason) => format!("no hyperbola: {reason}"),
            Ok(fit) => {
                let beyond =
                    if fit.bends_within { "" } else { ", which is beyond the batches measured: an extrapolation" };
                let bare = fit.critical_batch.lacks().map_or(String::new(), |reason| format!(" ({reason})"));
                format!(
                    "the hyperbola has S_min = {} steps and E_min = {} samples, so B_crit = {} samples{bare}{beyond}; single \
                     runs lie {} % off it (rms)",
                    with_interval(&fit.s_min),
                    with_interval(&fit.e_min),
                    with_interval(&fit.critical_batch),
                    number(100.0 * fit.residual)
                )
            }
        };
        Finding::of(&self.line.label, format!("{fitted}{}{missed}", self.measured_noise()))
    }

    /// The noise scale, which is to predict B_crit.
    fn measured_noise(&self) -> String {
        let told = |[middle, low, high]: [f64; 3]| {
            let beside =
                self.fit.as_ref().ok().map_or(String::new(), |fit| {
                    format!(", {} times B_crit", number(middle / fit.curve.critical_batch()))
                });
            format!("{} ({} to {} between batches){beside}", number(middle), number(low), number(high))
        };
        let average = self.noise_scale.map(|scale| {
            let caveat = self.noise.caveat();
            format!("; measured B_simple, the mean over the run, is {}{caveat}", told(scale))
        });
        let of_means = self.scale_of_means.map(|scale| format!("; mean trΣ over mean ‖G‖² is {}", told(scale)));
        average.into_iter().chain(of_means).collect()
    }

    fn batches(&self) -> impl Iterator<Item = f64> {
        self.reached.iter().map(|cell| cell.0)
    }

    /// Batches from the smallest to the largest, evenly by their logarithm.
    fn finely(&self) -> impl Iterator<Item = f64> {
        let (low, high) = self.batches().fold((f64::INFINITY, 0.0_f64), |(l, h), b| (l.min(b), h.max(b)));
        (0..=60).map(move |index| low * (high / low).powf(f64::from(index) / 60.0))
    }

    fn name(&self, word: &str) -> String {
        if self.line.label.is_empty() { word.into() } else { format!("{} – {word}", self.line.label) }
    }

    fn measured(&self, place: impl Fn(f64, f64) -> (f64, f64), bars: bool) -> Series {
        let points = self.reached.iter().map(|(batch, steps, ..)| {
            let (x, y) = place(*batch, steps.value);
            let end = |end: Option<f64>| end.filter(|_| bars).map(|steps| place(*batch, steps).1);
            Point { x, y, low: end(steps.low), high: end(steps.high), chosen: false }
        });
        let (label, style) = (self.name("measured"), self.line.style);
        Series { label, style, points: points.collect(), joined: false, marked: true, banded: false }
    }

    fn curve(&self, place: impl Fn(f64, f64) -> (f64, f64)) -> Option<Series> {
        let fit = self.fit.as_ref().ok()?;
        let points = self.finely().map(|batch| place(batch, fit.curve.steps(batch))).map(|(x, y)| Point::new(x, y));
        let (label, style) = (self.name("hyperbola"), self.line.style);
        Some(Series { label, style, points: points.collect(), joined: true, marked: false, banded: false })
    }
}

fn data(ways: &[Way<'_>]) -> Data {
    let mut data = Data::new(&[
        "line",
        "batch",
        "steps",
        "low",
        "high",
        "samples",
        "reached",
        "missed",
        "fitted_steps",
        "lanes",
        "noise_scale",
        "noise_low",
        "noise_high",
        "noise_reports",
        "noise_identified",
    ]);
    for way in ways {
        for (batch, steps, reached, missed) in &way.reached {
            let fitted = way.fit.as_ref().ok().map(|fit| fit.curve.steps(*batch));
            let samples = steps.value * batch;
            let line = way.line.label.as_str();
            let noise = way.by_batch.iter().find(|noise| noise.cell.batch as f64 == *batch);
            let scale = noise.and_then(|noise| noise.scale);
            let end = |end: fn(Interval) -> Option<f64>| scale.and_then(end);
            data.row(&[
                &line,
                batch,
                &steps.value,
                &steps.low,
                &steps.high,
                &samples,
                reached,
                missed,
                &fitted,
                &noise.map(BatchNoise::lanes),
                &end(|scale| Some(scale.value)),
                &end(|scale| scale.low),
                &end(|scale| scale.high),
                &noise.map(|noise| noise.noise.reports),
                &noise.map(|noise| noise.noise.identified),
            ]);
        }
    }
    data
}

/// Steps to the target over the batch size.
pub fn steps(view: &View<'_>) -> Drawn {
    let ways = ways(view)?;
    let (mut series, mut guides, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for way in &ways {
        series.extend(way.curve(|batch, steps| (batch, steps)));
        let perfect = way.reached.first().map(|(batch, steps, ..)| batch * steps.value).unwrap_or_default();
        let least = way.reached.iter().map(|cell| cell.1.value).fold(f64::INFINITY, f64::min);
        // Perfect scaling is drawn as far down as the measurements go.
        let points = way.finely().map(|batch| Point::new(batch, perfect / batch)).filter(|point| point.y > least / 2.0);
        let label = if series.len() <= 1 { "perfect scaling (equal samples)".into() } else { String::new() };
        series.push(Series { label, style: REFERENCE, points: points.collect(), joined: true, ..Series::default() });
        batches.extend(way.batches());
    }
    series.extend(ways.iter().map(|way| way.measured(|batch, steps| (batch, steps), true)));
    if let [way] = ways.as_slice() {
        let guide = |label: &str, style, at| Guide { label: label.into(), style, at, upright: true };
        guides.extend(way.fit.as_ref().ok().map(|fit| guide("B_crit of the fit", 3, fit.curve.critical_batch())));
        guides.extend(way.noise_scale.map(|scale| guide("B_simple, mean over the run", 2, scale[0])));
    }
    batches.sort_by(f64::total_cmp);
    batches.dedup();
    let x = Measure::log("batch size (samples)").at(batches);
    let plot = Plot { guides, ..Plot::new(x, Measure::log("steps to the target"), series) };
    Ok(vec![Figure {
        name: "steps-to-target".into(),
        title: "Steps to the target over batch size".into(),
        picture: Picture::Plot(Box::new(plot)),
        caption: format!(
            "Geometric mean over seeds with 95 % bootstrap intervals where there are at least {FEWEST_SEEDS}; the hyperbola \
             (S/S_min − 1)(E/E_min − 1) = 1 is fitted to ln S over all seeds, its intervals by resampling seeds."
        ),
        found: ways.iter().map(Way::clause).collect(),
        key: true,
        short: None,
        refuted_by: "Steps that never level off, or that miss the curve by much more than seeds differ, would refute the \
                     hyperbola; a B_simple ten times away from B_crit would refute it as a predictor.",
        data: data(&ways),
    }])
}

/// Samples to the target over steps.
pub fn trade_off(view: &View<'_>) -> Drawn {
    let ways = ways(view)?;
    let place = |batch: f64, steps: f64| (steps, batch * steps);
    let mut series: Vec<Series> = ways.iter().filter_map(|way| way.curve(place)).collect();
    series.extend(ways.iter().map(|way| way.measured(place, false)));
    let prices: Vec<Finding> = ways.iter().filter_map(Way::price).collect();
    let short = joined(&prices.iter().collect::<Vec<_>>());
    let clauses: Vec<Finding> = prices.into_iter().chain(ways.iter().flat_map(|way| way.noises(view))).collect();
    let of_batch = |batch: f64, steps: f64| Note { at: place(batch, steps).into(), words: whole(batch as u64) };
    let reached = ways.iter().flat_map(|way| &way.reached);
    let notes = reached.map(|(batch, steps, ..)| of_batch(*batch, steps.value)).collect();
    let axes = Plot::new(Measure::log("steps to the target"), Measure::log("samples to the target"), series);
    let plot = Plot { notes, ..axes };
    Ok(vec![Figure {
        name: "trade-off".into(),
        title: "What fewer steps cost in samples".into(),
        picture: Picture::Plot(Box::new(plot)),
        caption: "Each marker is a batch size, the number beside it; the hyperbola is that of the fit. Fewer steps are to the \
                  left, and cost samples, which are upwards."
            .into(),
        found: clauses,
        key: true,
        short: Some(short),
        refuted_by: "A batch size that takes both fewer steps and fewer samples than a smaller one, beyond the scatter of \
                     seeds, would refute that steps are bought with samples.",
        data: data(&ways),
    }])
}

impl Way<'_> {
    /// What each batch size measured of its noise, beside B_crit. Nothing if no run of them tells of any.
    fn noises(&self, view: &View<'_>) -> Vec<Finding> {
        if self.noise.reports == 0 {
            return Vec::new();
        }
        let critical = self.fit.as_ref().ok().map(|fit| fit.curve.critical_batch());
        let one = |noise: &BatchNoise<'_>| Finding::of(&view.label(noise.cell), noise.said(critical));
        self.by_batch.iter().map(one).collect()
    }

    /// What the largest batch gains in steps, and what it costs in samples.
    fn price(&self) -> Option<Finding> {
        let [(small, long, ..), .., (large, short, ..)] = self.reached.as_slice() else { return None };
        let (fewer, more) = (long.value / short.value, large * short.value / (small * long.value));
        let clause = format!(
            "batch {} takes {} times fewer steps than batch {} and {} times the samples",
            whole(*large as u64),
            number(fewer),
            whole(*small as u64),
            number(more)
        );
        Some(Finding::of(&self.line.label, clause))
    }
}
