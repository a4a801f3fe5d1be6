//! `curves.svg`: loss, accuracy and noise scale over steps.

use super::axis::Axis;
use super::plot::{Line, Panel, Plot, Role, Uncertainty};
use super::series::{Curves, Noise, Series};

/// Draws loss, accuracy and noise scale over steps: calm curves for training, evaluations stand out.
pub fn draw(curves: &Curves) -> String {
    let losses = curves.evaluations.iter().map(|(_, loss, _)| loss);
    let accuracies = curves.evaluations.iter().map(|(_, _, accuracy)| accuracy);
    let splits =
        curves.evaluations.iter().enumerate().map(|(index, (split, ..))| (Role::Strong(index), split.as_str()));
    Plot {
        label: "Loss, accuracy and noise scale over steps",
        panels: vec![
            panel("Loss", "", &curves.loss, losses.collect()),
            panel("Accuracy", "%", &curves.accuracy, accuracies.collect()),
            noise_panel(&curves.noise),
        ],
        legend: std::iter::once((Role::Calm, "training")).chain(splits).collect(),
    }
    .draw()
}

fn panel<'a>(title: &'a str, unit: &'a str, train: &'a Series, evaluations: Vec<&'a Series>) -> Panel<'a> {
    let strong = evaluations.iter().enumerate().map(|(index, series)| (Role::Strong(index), *series));
    let lines: Vec<Line<'a>> = std::iter::once((Role::Calm, train))
        .chain(strong)
        .map(|(role, series)| Line { role, points: &series.points })
        .collect();
    let values = lines.iter().flat_map(|line| line.points).map(|point| point.1);
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    Panel { title, unit, y: Axis::covering(low, high), lines, uncertainty: None }
}

fn noise_panel(noise: &Noise) -> Panel<'_> {
    let [low, high] = &noise.interval;
    Panel {
        title: "Noise scale in samples",
        unit: "",
        y: Axis::logarithmic(noise.points().map(|point| point.1)),
        lines: vec![Line { role: Role::Calm, points: &noise.scale.points }],
        uncertainty: Some(Uncertainty { interval: [&low.points, &high.points], above: &noise.above.points }),
    }
}

#[cfg(test)]
mod tests {
    use lockstep_proto::report::{EvaluationReport, NoiseEstimate, NoiseScale, Report, StepReport};

    use super::*;

    /// A run like LeNet-5's, noise from a fixed generator.
    pub fn example() -> Curves {
        let mut curves = Curves::default();
        let mut state = 1_u64;
        for step in (50..=18_750).step_by(50) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let noise = (state >> 33) as f64 / f64::from(1_u32 << 31);
            let loss = 2.2 * (-(step as f64) / 900.0).exp() + 0.02 + 0.12 * noise;
            let accuracy = 1.0 - loss / 2.4;
            let scale = 30.0 * (step as f64 / 60.0) * (0.9 + 0.2 * noise);
            let is_clear = step > 400 && !(16_000..17_000).contains(&step);
            let told = |value: f64| Some(value).filter(|_| is_clear);
            let all = NoiseEstimate {
                scale: told(scale),
                low: told(scale / 1.4),
                high: told(scale * (1.5 + 2.0 * noise)),
                above: Some(scale / 2.0).filter(|_| !is_clear),
                ..Default::default()
            };
            let noise = NoiseScale { all, ..Default::default() };
            curves.add(&Report::Step(StepReport { step, loss, accuracy, noise: Some(noise), ..Default::default() }));
            if step % 1250 == 0 {
                let (split, loss) = ("test".into(), loss * 0.8 + 0.03);
                let accuracy = 1.0 - loss / 3.0;
                curves.add(&Report::Evaluation(EvaluationReport { step, split, loss, accuracy, ..Default::default() }));
            }
        }
        curves
    }

    #[test]
    fn every_run_has_a_picture() {
        for curves in [Curves::default(), example()] {
            let svg = draw(&curves);
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            if let Some(folder) = std::env::var_os("LOCKSTEP_CURVES_TO") {
                std::fs::write(std::path::Path::new(&folder).join(format!("curves-{}.svg", svg.len())), svg).unwrap();
            }
        }
    }
}
