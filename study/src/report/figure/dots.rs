//! A row for each of some things: its name, a dot, an interval, and words.

use super::axis::{Axis, Measure};
use super::style::{marker, stroke};
use super::svg::{Anchor, Svg, fitted, width_of};
use super::{REFERENCE, Size};

/// Rows of dots over one axis.
#[derive(Clone, Debug)]
pub struct Dots {
    /// To the right.
    pub x: Measure,
    /// From above.
    pub dots: Vec<Dot>,
    /// Upright lines that rows are compared with.
    pub guides: Vec<f64>,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Dot {
    /// What it is.
    pub label: String,
    /// What is said of it, at the right of a wide picture.
    pub words: String,
    /// Its style.
    pub style: usize,
    /// Where the dot is.
    pub value: f64,
    /// Ends of its interval.
    pub ends: Option<[f64; 2]>,
}

const ROW: f64 = 46.0;
const LEFT: f64 = 14.0;

impl Dots {
    /// How high it is, and what is in it.
    pub(super) fn draw(&self, size: Size) -> (f64, Svg) {
        let mut svg = Svg::default();
        let values = self.dots.iter().flat_map(|dot| [dot.value].into_iter().chain(dot.ends.into_iter().flatten()));
        let values = values.chain(self.guides.iter().copied());
        let width = size.width() - 2.0 * LEFT;
        let mut axis = Axis::over(&self.x, values, if size == Size::Wide { 8 } else { 5 });
        axis.thin(width);
        let (top, bottom) = (8.0, 8.0 + ROW * self.dots.len() as f64);
        let x = |value: f64| LEFT + width * axis.place(value);
        for (value, text) in &axis.ticks {
            let at = x(*value);
            svg.path("grid", &format!("M{at:.1} {top:.1}V{bottom:.1}"));
            let half = width_of(text) / 2.0;
            let middle = at.clamp(half + 2.0, size.width() - half - 2.0);
            svg.text("", Anchor::Middle, [middle, bottom + 20.0], text);
        }
        // Beside dots only: lines through words are hard to read.
        for guide in self.guides.iter().filter(|guide| self.x.has(**guide)) {
            let row = |index: usize| format!("M{:.1} {:.1}v20", x(*guide), top + ROW * index as f64 + 22.0);
            svg.path(&stroke(REFERENCE), &(0..self.dots.len()).map(row).collect::<String>());
        }
        for (index, dot) in self.dots.iter().enumerate() {
            dot.draw(size, top + ROW * index as f64, &x, &mut svg);
        }
        svg.path("axis", &format!("M{LEFT} {bottom:.1}h{width:.1}"));
        let label = fitted(&self.x.label, size.width() - 16.0);
        svg.text("strong", Anchor::Middle, [size.width() / 2.0, bottom + 42.0], &label);
        (bottom + 54.0, svg)
    }
}

impl Dot {
    fn draw(&self, size: Size, top: f64, x: &impl Fn(f64) -> f64, svg: &mut Svg) {
        let words = if size == Size::Wide { self.words.as_str() } else { "" };
        let space = size.width() - 2.0 * LEFT - width_of(words) - 16.0;
        svg.text("strong", Anchor::Start, [LEFT, top + 15.0], &fitted(&self.label, space));
        svg.text("", Anchor::End, [size.width() - LEFT, top + 15.0], words);
        let y = top + 31.0;
        let class = stroke(self.style);
        let class = class.trim_start_matches("line ");
        if let Some([low, high]) = self.ends.map(|ends| ends.map(x)) {
            let d = format!("M{low:.1} {y:.1}H{high:.1}M{low:.1} {:.1}v8M{high:.1} {0:.1}v8", y - 4.0);
            svg.path(&format!("bar {class}"), &d);
        }
        svg.path(&format!("mark {class}"), &marker(self.style, [x(self.value), y], 5.0));
    }
}
