//! How sharp the minimum is, over the batch size: λ_max, Tr H, Keskar's φ, SAM's sharpness.

use std::collections::BTreeSet;

use super::over_batches::OverBatches;
use super::{Drawn, Figure, absent, bars};
use crate::report::tables::Job;
use crate::report::view::{Line, View};
use crate::report::words::{count, number};

/// A probe's measure and figure, the file's name, the title, how sentences call it, the axis.
const MEASURES: [[&str; 6]; 4] = [
    [
        "eigenvalues",
        "highest",
        "sharpness-eigenvalue",
        "Largest Hessian eigenvalue",
        "λ_max",
        "λ_max (loss per squared unit of weight)",
    ],
    ["trace", "trace", "sharpness-trace", "Trace of the Hessian", "Tr H", "Tr H (loss per squared unit of weight)"],
    ["keskar", "phi", "sharpness-keskar", "Keskar's sharpness", "φ", "φ (% of 1 + loss)"],
    [
        "sam",
        "sharpness",
        "sharpness-sam",
        "Sharpness along the gradient",
        "L(w + ρg/‖g‖) − L(w)",
        "rise of the loss at distance ρ",
    ],
];

/// A figure for each of the measures that runs have.
pub fn draw(view: &View<'_>) -> Drawn {
    let figures: Vec<Figure> = MEASURES.iter().filter_map(|measure| one(view, measure)).collect();
    if figures.is_empty() {
        let otherwise = "no two batch sizes have a probe of curvature: add one with `measure = \"eigenvalues\"`, \
                         `\"trace\"`, `\"keskar\"` or `\"sam\"`";
        return Err(absent(view, "probes.csv", otherwise));
    }
    Ok(figures)
}

fn one(view: &View<'_>, [measure, figure, name, title, what, label]: &[&str; 6]) -> Option<Figure> {
    let measured = |job: &Job| match *figure {
        "highest" => view.sharpness(job).last().map(|last| last.1),
        _ => view.last(job, measure, figure),
    };
    let to_a_loss: BTreeSet<&str> =
        view.cells().iter().filter(|cell| cell.budget == "loss").map(|cell| cell.cell.as_str()).collect();
    // A run that gave up before it reached the loss is not at that loss.
    let fell_short = |job: &Job| to_a_loss.contains(job.cell.as_str()) && job.stop_reason != "target";
    let value = |job: &Job| measured(job).filter(|_| !fell_short(job));
    let has = |line: &Line<'_>| line.cells.iter().any(|cell| !view.values(cell, value).is_empty());
    // Curvature is compared at equal training loss, where there are such runs.
    let with: Vec<&Line<'_>> = view.lines().iter().filter(|line| has(line)).collect();
    let equal: Vec<&Line<'_>> =
        with.iter().copied().filter(|line| line.cells.iter().all(|cell| cell.budget == "loss")).collect();
    let lines = if equal.is_empty() { with } else { equal };
    let runs = || view.cells().iter().flat_map(|cell| view.runs(cell)).filter(|(_, job)| !job.diverged);
    let left_out = runs().filter(|(_, job)| fell_short(job) && measured(job).is_some()).count();
    let left_out = match left_out {
        0 => String::new(),
        some => format!(" Left out: {} that gave up before reaching the loss.", count(some, "run")),
    };
    let all = || lines.iter().flat_map(|line| &line.cells).flat_map(|cell| view.values(cell, value).into_values());
    let factors = all().all(|value| value > 0.0);
    let drawn = OverBatches { what, unit: "", label, factors }.draw(view, &lines, value)?;
    Some(Figure {
        name: (*name).into(),
        title: format!("{title} {}", drawn.over),
        picture: drawn.picture,
        caption: format!("The last probe of each run. {}{left_out} {}", losses(view, &lines, &fell_short), bars()),
        found: drawn.found,
        key: true,
        short: drawn.short,
        refuted_by: "That large batches end in sharper minima would be refuted by a paired change, at equal training loss, \
                     whose interval lies below no change; one that includes no change shows nothing either way.",
        data: drawn.data,
    })
}

/// At which training losses these runs ended.
fn losses(view: &View<'_>, lines: &[&Line<'_>], fell_short: &dyn Fn(&Job) -> bool) -> String {
    let cells = || lines.iter().flat_map(|line| &line.cells);
    let losses =
        cells().flat_map(|cell| view.values(cell, |job| job.train_loss.filter(|_| !fell_short(job))).into_values());
    let (low, high) = losses.fold((f64::INFINITY, 0.0_f64), |(low, high), loss| (low.min(loss), high.max(loss)));
    let equal = cells().all(|cell| cell.budget == "loss");
    match (low <= high, equal) {
        (false, true) => "All were trained to the same training loss.".into(),
        (false, false) => "Training losses are not told, so this may not be at equal loss.".into(),
        (true, true) => {
            format!("All were trained to the same training loss (they ended at {} to {}).", number(low), number(high))
        }
        (true, false) => format!(
            "Runs were not trained to the same loss: they ended at {} to {}, and curvature depends on that.",
            number(low),
            number(high)
        ),
    }
}
