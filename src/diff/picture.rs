//! `diff.svg`: how far weights and losses of two runs are apart, over steps, in decades.

use lockstep_coordinator::run_folder::{Axis, Line, Panel, Plot, Role};

use super::Comparison;

/// Draws the distance of the weights at common checkpoints, and of the training losses. What is the same bits is at 0,
/// below all decades.
pub fn draw(comparison: &Comparison) -> String {
    let distances = comparison.checkpoints.iter().filter_map(|common| Some((common.step as f64, common.distance?)));
    let distances: Vec<(f64, f64)> = distances.filter(|(_, distance)| distance.is_finite()).collect();
    let losses = &comparison.reported.losses;
    Plot {
        label: "Distance of two runs over steps",
        panels: vec![
            panel("Distance of the weights, relative to their norm", Role::Strong(0), &distances),
            panel("Difference of the training losses", Role::Calm, losses),
        ],
        legend: vec![(Role::Strong(0), "weights, at checkpoints of both"), (Role::Calm, "loss of a step")],
    }
    .draw()
}

fn panel<'a>(title: &'a str, role: Role, points: &'a [(f64, f64)]) -> Panel<'a> {
    let y = Axis::logarithmic_from_zero(points.iter().map(|point| point.1));
    Panel { title, unit: "", y, lines: vec![Line { role, points }], uncertainty: None }
}
