//! A picture of panels over steps, one below the other, readable on a light and on a dark page.

use std::fmt::Write;

use super::axis::Axis;
use super::series::{keep_extremes, split_at};

/// Width of the picture.
const WIDTH: f64 = 900.0;
/// Panels: left, width, height; the first one's top, and from one top to the next.
const LEFT: f64 = 72.0;
const PANEL_WIDTH: f64 = 796.0;
const PANEL_HEIGHT: f64 = 224.0;
const TOP: f64 = 62.0;
const PITCH: f64 = 286.0;
/// Below the last panel.
const BOTTOM: f64 = 56.0;
/// Points of a curve that are drawn: about two a pixel.
const BUCKETS: usize = 400;
/// Most points of a curve that are dots as well.
const DOTS: usize = 60;

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

/// Whether a curve stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Many noisy points, in a calm colour.
    Calm,
    /// Few points, in the first or second strong colour.
    Strong(usize),
}

impl Role {
    fn curve(self) -> String {
        match self {
            Self::Calm => "train".into(),
            Self::Strong(index) => format!("s{}", index % 2),
        }
    }

    fn dot(self) -> String {
        match self {
            Self::Calm => "dt".into(),
            Self::Strong(index) => format!("d{}", index % 2),
        }
    }
}

/// A curve.
pub struct Line<'a> {
    /// How it looks.
    pub role: Role,
    /// Step and value.
    pub points: &'a [(f64, f64)],
}

/// Curves over one axis of values.
pub struct Panel<'a> {
    /// What is shown.
    pub title: &'a str,
    /// `%` for fractions, else nothing.
    pub unit: &'a str,
    /// The axis of values.
    pub y: Axis,
    /// Drawn one above the other, the first below.
    pub lines: Vec<Line<'a>>,
    /// Drawn behind them.
    pub uncertainty: Option<Uncertainty<'a>>,
}

/// How sure a panel's lines are: steps and values.
pub struct Uncertainty<'a> {
    /// Lower and upper ends of intervals.
    pub interval: [&'a [(f64, f64)]; 2],
    /// Lower bounds, at steps where there is no value. Lines end there.
    pub above: &'a [(f64, f64)],
}

/// Panels over the same steps.
pub struct Plot<'a> {
    /// For those who can't see it.
    pub label: &'a str,
    /// From top to bottom.
    pub panels: Vec<Panel<'a>>,
    /// What the curves are, from left to right.
    pub legend: Vec<(Role, &'a str)>,
}

impl Plot<'_> {
    /// The picture as SVG.
    pub fn draw(&self) -> String {
        let mut svg = String::new();
        let (light, dark) = (LIGHT.rules(), DARK.rules());
        let style = format!("{SHAPES}{light}@media(prefers-color-scheme:dark){{{dark}}}");
        let height = TOP + PITCH * (self.panels.len() - 1) as f64 + PANEL_HEIGHT + BOTTOM;
        // Writing to a String can't fail.
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-label=\"{}\"><style>{style}</style>\
             <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>",
            self.label
        );
        let last_step = self.panels.iter().flat_map(Panel::points).map(|point| point.0).fold(1.0, f64::max);
        let x = Axis::from_zero(last_step);
        for (index, panel) in self.panels.iter().enumerate() {
            panel.draw(TOP + PITCH * index as f64, &x, &mut svg);
        }
        self.draw_legend(&mut svg);
        let (middle, bottom) = (LEFT + PANEL_WIDTH / 2.0, height - BOTTOM + 42.0);
        let _ = write!(svg, "<text class=\"mid\" x=\"{middle}\" y=\"{bottom}\">step</text></svg>");
        svg.push('\n');
        svg
    }

    /// One entry a curve, from the right.
    fn draw_legend(&self, svg: &mut String) {
        let mut right = LEFT + PANEL_WIDTH;
        for (role, name) in self.legend.iter().rev() {
            let left = right - 7.2 * name.chars().count() as f64;
            let (bar, y, class) = (left - 24.0, TOP - 40.0, role.dot());
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{bar:.1}\" y=\"{}\" width=\"18\" height=\"3\" rx=\"1.5\"/>",
                y - 6.0
            );
            let _ = write!(svg, "<text x=\"{left:.1}\" y=\"{y}\">{name}</text>");
            right = bar - 18.0;
        }
    }
}

impl Panel<'_> {
    fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        let behind =
            self.uncertainty.iter().flat_map(|Uncertainty { interval: [low, high], above }| [low, high, above]);
        self.lines.iter().map(|line| &line.points).chain(behind).flat_map(|points| points.iter())
    }

    fn draw(&self, top: f64, x: &Axis, svg: &mut String) {
        let (bottom, right) = (top + PANEL_HEIGHT, LEFT + PANEL_WIDTH);
        let _ = write!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{}</text>", top - 14.0, self.title);
        let factor = if self.unit == "%" { 100.0 } else { 1.0 };
        for tick in self.y.ticks() {
            let y = self.place_y(top, tick);
            let (text, unit) = (self.y.label(tick, factor), self.unit);
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
        self.uncertainty.iter().for_each(|uncertainty| self.draw_uncertainty(uncertainty, top, x, svg));
        for line in &self.lines {
            self.draw_line(line, top, x, svg);
        }
        if self.points().next().is_none() {
            let (at, y) = (LEFT + PANEL_WIDTH / 2.0, top + PANEL_HEIGHT / 2.0);
            let _ = write!(svg, "<text class=\"mid\" x=\"{at}\" y=\"{y}\">nothing reported</text>");
        }
    }

    fn draw_line(&self, line: &Line<'_>, top: f64, x: &Axis, svg: &mut String) {
        let gaps = self.uncertainty.as_ref().map_or(&[][..], |uncertainty| uncertainty.above);
        for points in split_at(line.points, gaps) {
            let path = self.path(top, x, keep_extremes(points, BUCKETS).iter());
            let _ = write!(svg, "<path class=\"curve {}\" d=\"{path}\"/>", line.role.curve());
        }
        if line.role == Role::Calm || line.points.len() > DOTS {
            return;
        }
        for point in line.points {
            let (class, at, y) = (line.role.dot(), place_x(x, point.0), self.place_y(top, point.1));
            let _ = write!(svg, "<circle class=\"{class}\" cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>");
        }
    }

    /// A band from the lower to the upper ends, and a mark that points up at each bound.
    fn draw_uncertainty(&self, uncertainty: &Uncertainty<'_>, top: f64, x: &Axis, svg: &mut String) {
        let [low, high] = uncertainty.interval.map(|points| split_at(points, uncertainty.above));
        for (low, high) in low.zip(high) {
            let [low, high] = [low, high].map(|points| keep_extremes(points, BUCKETS));
            let band = self.path(top, x, high.iter().chain(low.iter().rev()));
            let _ = write!(svg, "<path class=\"band\" d=\"{band}Z\"/>");
        }
        let mut bounds = String::new();
        for point in keep_extremes(uncertainty.above, BUCKETS / 4) {
            let (at, y) = (place_x(x, point.0), self.place_y(top, point.1));
            let _ = write!(bounds, "M{:.1} {y:.1}l3 -5l3 5", at - 3.0);
        }
        if !bounds.is_empty() {
            let _ = write!(svg, "<path class=\"bound\" d=\"{bounds}\"/>");
        }
        let (at, base) = (LEFT + PANEL_WIDTH, top - 14.0);
        let _ = write!(svg, "<text class=\"end\" x=\"{at}\" y=\"{base}\">shaded: 95% interval; ^: above this</text>");
    }

    fn path<'p>(&self, top: f64, x: &Axis, points: impl Iterator<Item = &'p (f64, f64)>) -> String {
        let mut path = String::new();
        for point in points {
            let start = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{start}{:.1} {:.1}", place_x(x, point.0), self.place_y(top, point.1));
        }
        path
    }

    fn place_y(&self, top: f64, value: f64) -> f64 {
        top + PANEL_HEIGHT * (1.0 - self.y.place(value))
    }
}

fn place_x(x: &Axis, step: f64) -> f64 {
    LEFT + PANEL_WIDTH * x.place(step)
}
