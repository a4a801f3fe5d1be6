//! `curves.svg`: loss, accuracy and noise scale over steps, readable on a light and on a dark page.

use std::fmt::Write;

use super::axis::Axis;
use super::series::{Curves, Noise, Series, keep_extremes, split_at};

/// Size of the picture.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 914.0;
/// Panels: left, width, height; the top of each.
const LEFT: f64 = 72.0;
const PANEL_WIDTH: f64 = 796.0;
const PANEL_HEIGHT: f64 = 224.0;
const TOPS: [f64; 3] = [62.0, 348.0, 634.0];
/// Points of a curve that are drawn: about two a pixel.
const BUCKETS: usize = 400;

/// Colours by role. Plain rules, no variables: not every viewer of SVG knows them.
struct Colours {
    page: &'static str,
    ink: &'static str,
    dim: &'static str,
    grid: &'static str,
    /// Calm for training; evaluations stand out.
    train: &'static str,
    splits: [&'static str; 2],
}

const LIGHT: Colours = Colours {
    page: "#ffffff",
    ink: "#1f2328",
    dim: "#59636e",
    grid: "#e6e8eb",
    train: "#7aa7e0",
    splits: ["#d9480f", "#2b8a3e"],
};

const DARK: Colours = Colours {
    page: "#0d1117",
    ink: "#e6edf3",
    dim: "#9198a1",
    grid: "#262c36",
    train: "#4a7dbd",
    splits: ["#ff922b", "#69db7c"],
};

const SHAPES: &str = "text{font:13px system-ui,sans-serif}.title{font-weight:600;font-size:15px}\
.curve,.bound{fill:none;stroke-linejoin:round;stroke-linecap:round}.train{stroke-width:1.4}.s0,.s1{stroke-width:2.2}\
.band{fill-opacity:.25}.bound{stroke-width:1}.end{text-anchor:end}.mid{text-anchor:middle}";

impl Colours {
    fn rules(&self) -> String {
        let Self { page, ink, dim, grid, train, splits: [first, second] } = self;
        format!(
            ".page{{fill:{page}}}text{{fill:{dim}}}.title{{fill:{ink}}}.grid{{stroke:{grid}}}\
             .train,.bound{{stroke:{train}}}.dt,.band{{fill:{train}}}.s0{{stroke:{first}}}.d0{{fill:{first}}}\
             .s1{{stroke:{second}}}.d1{{fill:{second}}}"
        )
    }
}

/// What a panel shows.
struct Panel<'a> {
    title: &'a str,
    top: f64,
    train: &'a Series,
    evaluations: Vec<&'a Series>,
    /// Drawn behind and beside the curve, in the panel of the noise scale.
    noise: Option<&'a Noise>,
    y: Axis,
}

/// Draws loss, accuracy and noise scale over steps.
pub fn draw(curves: &Curves) -> String {
    let mut svg = String::new();
    let (light, dark) = (LIGHT.rules(), DARK.rules());
    let style = format!("{SHAPES}{light}@media(prefers-color-scheme:dark){{{dark}}}");
    // Writing to a String can't fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Loss, accuracy and noise scale over steps\"><style>{style}</style>\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>"
    );
    let loss = Panel::new("Loss", TOPS[0], &curves.loss, curves.evaluations.iter().map(|e| &e.1).collect());
    let accuracy = Panel::new("Accuracy", TOPS[1], &curves.accuracy, curves.evaluations.iter().map(|e| &e.2).collect());
    let noise = Panel::of_noise("Noise scale in samples", TOPS[2], &curves.noise);
    let last_step =
        [&loss, &accuracy, &noise].into_iter().flat_map(Panel::points).map(|point| point.0).fold(1.0, f64::max);
    let x = Axis::from_zero(last_step);
    loss.draw(&x, "", &mut svg);
    accuracy.draw(&x, "%", &mut svg);
    noise.draw(&x, "", &mut svg);
    legend(curves, &mut svg);
    let (middle, bottom) = (LEFT + PANEL_WIDTH / 2.0, TOPS[2] + PANEL_HEIGHT + 42.0);
    let _ = write!(svg, "<text class=\"mid\" x=\"{middle}\" y=\"{bottom}\">step</text></svg>");
    svg.push('\n');
    svg
}

impl<'a> Panel<'a> {
    fn new(title: &'a str, top: f64, train: &'a Series, evaluations: Vec<&'a Series>) -> Self {
        let all = evaluations.iter().copied().chain([train]).flat_map(|series| &series.points);
        let (low, high) =
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| (low.min(point.1), high.max(point.1)));
        Self { title, top, train, evaluations, noise: None, y: Axis::covering(low, high) }
    }

    /// A curve with its interval, and bounds, on a logarithmic axis.
    fn of_noise(title: &'a str, top: f64, noise: &'a Noise) -> Self {
        let values = noise.points().map(|point| point.1);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
        let y = Axis::logarithmic(low, high);
        Self { title, top, train: &noise.scale, evaluations: Vec::new(), noise: Some(noise), y }
    }

    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        let noise = self.noise.into_iter().flat_map(Noise::points);
        self.evaluations.iter().copied().chain([self.train]).flat_map(|series| &series.points).chain(noise)
    }

    fn draw(&self, x: &Axis, unit: &str, svg: &mut String) {
        let (top, bottom, right) = (self.top, self.top + PANEL_HEIGHT, LEFT + PANEL_WIDTH);
        let _ = write!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{}</text>", top - 14.0, self.title);
        let factor = if unit == "%" { 100.0 } else { 1.0 };
        for tick in self.y.ticks() {
            let y = self.place_y(tick);
            let text = self.y.label(tick, factor);
            let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>");
            let (at, base) = (LEFT - 10.0, y + 4.5);
            let _ = write!(svg, "<text class=\"end\" x=\"{at}\" y=\"{base:.1}\">{text}{unit}</text>");
        }
        for tick in x.ticks() {
            let (at, base) = (place_x(x, tick), bottom + 20.0);
            let text = x.label(tick, 1.0);
            let _ = write!(svg, "<path class=\"grid\" d=\"M{at:.1} {bottom}v5\"/>");
            let _ = write!(svg, "<text class=\"mid\" x=\"{at:.1}\" y=\"{base}\">{text}</text>");
        }
        self.noise.iter().for_each(|noise| self.interval_and_bounds(x, noise, svg));
        self.curve(x, self.train, "train", svg);
        for (index, series) in self.evaluations.iter().enumerate() {
            self.curve(x, series, &format!("s{}", index % 2), svg);
            if series.points.len() <= 60 {
                for point in &series.points {
                    let (at, y) = (place_x(x, point.0), self.place_y(point.1));
                    let _ = write!(svg, "<circle class=\"d{}\" cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>", index % 2);
                }
            }
        }
        if self.points().next().is_none() {
            let (at, y) = (LEFT + PANEL_WIDTH / 2.0, top + PANEL_HEIGHT / 2.0);
            let _ = write!(svg, "<text class=\"mid\" x=\"{at}\" y=\"{y}\">nothing reported</text>");
        }
    }

    /// A band from the lower to the upper ends, and a mark that points up at each bound.
    fn interval_and_bounds(&self, x: &Axis, noise: &Noise, svg: &mut String) {
        let [low, high] = noise.interval.each_ref().map(|series| split_at(&series.points, &noise.above.points));
        for (low, high) in low.zip(high) {
            let [low, high] = [low, high].map(|points| keep_extremes(points, BUCKETS));
            let band = self.path(x, high.iter().chain(low.iter().rev()));
            let _ = write!(svg, "<path class=\"band\" d=\"{band}Z\"/>");
        }
        let mut bounds = String::new();
        for point in keep_extremes(&noise.above.points, BUCKETS / 4) {
            let (at, y) = (place_x(x, point.0), self.place_y(point.1));
            let _ = write!(bounds, "M{:.1} {y:.1}l3 -5l3 5", at - 3.0);
        }
        if !bounds.is_empty() {
            let _ = write!(svg, "<path class=\"bound\" d=\"{bounds}\"/>");
        }
        let (at, base) = (LEFT + PANEL_WIDTH, self.top - 14.0);
        let _ = write!(svg, "<text class=\"end\" x=\"{at}\" y=\"{base}\">shaded: 95% interval; ^: above this</text>");
    }

    fn curve(&self, x: &Axis, series: &Series, class: &str, svg: &mut String) {
        let gaps = self.noise.map_or(&[][..], |noise| &noise.above.points);
        for points in split_at(&series.points, gaps) {
            let path = self.path(x, keep_extremes(points, BUCKETS).iter());
            let _ = write!(svg, "<path class=\"curve {class}\" d=\"{path}\"/>");
        }
    }

    fn path<'p>(&self, x: &Axis, points: impl Iterator<Item = &'p (f64, f64)>) -> String {
        let mut path = String::new();
        for point in points {
            let start = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{start}{:.1} {:.1}", place_x(x, point.0), self.place_y(point.1));
        }
        path
    }

    fn place_y(&self, value: f64) -> f64 {
        self.top + PANEL_HEIGHT * (1.0 - self.y.place(value))
    }
}

fn place_x(x: &Axis, step: f64) -> f64 {
    LEFT + PANEL_WIDTH * x.place(step)
}

/// One entry a curve, from the right.
fn legend(curves: &Curves, svg: &mut String) {
    let splits = curves.evaluations.iter().enumerate().map(|(i, (split, ..))| (format!("d{}", i % 2), split.as_str()));
    let mut entries: Vec<(String, &str)> = vec![("dt".into(), "training")];
    entries.extend(splits);
    let mut right = LEFT + PANEL_WIDTH;
    for (class, name) in entries.iter().rev() {
        let left = right - 7.2 * name.chars().count() as f64;
        let (bar, y) = (left - 24.0, TOPS[0] - 40.0);
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{bar:.1}\" y=\"{}\" width=\"18\" height=\"3\" rx=\"1.5\"/>",
            y - 6.0
        );
        let _ = write!(svg, "<text x=\"{left:.1}\" y=\"{y}\">{name}</text>");
        right = bar - 18.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::facts::{EvaluationReport, Report, StepReport};
    use crate::cluster::noise::NoiseScale;

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
            let noise = NoiseScale {
                scale: told(scale),
                low: told(scale / 1.4),
                high: told(scale * (1.5 + 2.0 * noise)),
                above: Some(scale / 2.0).filter(|_| !is_clear),
                ..Default::default()
            };
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
