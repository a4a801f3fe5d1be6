//! Values over two axes.

use super::axis::{Axis, Measure};
use super::legend::{self, Entry};
use super::svg::{Anchor, Svg, fitted, width_of};
use super::{REFERENCE, Size, marks, style};

/// Values over two axes.
#[derive(Clone, Debug)]
pub struct Plot {
    /// To the right.
    pub x: Measure,
    /// Upwards.
    pub y: Measure,
    /// Later ones lie above earlier ones.
    pub series: Vec<Series>,
    /// Straight lines across.
    pub guides: Vec<Guide>,
    /// Whether series with bars are moved apart by some pixels, so that bars at one x don't lie on each other. Not where
    /// it is the question whether series lie on each other.
    pub apart: bool,
    /// Marks that point up: what is meant lies above them.
    pub bounds: Vec<Bounds>,
    /// Words beside places, where there is room.
    pub notes: Vec<Note>,
    /// A map in grey, below all else, with words for its lowest and highest level.
    pub tiles: Option<(Vec<Tile>, [String; 2])>,
}

/// Points that belong together.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend; none if empty.
    pub label: String,
    /// Its colour, dash and marker.
    pub style: usize,
    /// From left to right.
    pub points: Vec<Point>,
    /// Whether a line leads from point to point.
    pub joined: bool,
    /// Whether points have markers.
    pub marked: bool,
    /// Whether intervals are a band; else they are bars.
    pub banded: bool,
}

/// A value, perhaps with an interval.
#[derive(Clone, Copy, Debug, Default)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Whether it has a ring around it.
    pub chosen: bool,
}

impl Point {
    /// A point without an interval.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, ..Self::default() }
    }
}

/// A straight line across the plot.
#[derive(Clone, Debug)]
pub struct Guide {
    /// Its name in the legend; none if empty.
    pub label: String,
    /// Its style.
    pub style: usize,
    /// At which value.
    pub at: f64,
    /// Whether at one of x: upright; else level, at one of y.
    pub upright: bool,
}

/// Places that values are known to lie above, which are not known better.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Whose colour.
    pub style: usize,
    /// From left to right.
    pub points: Vec<[f64; 2]>,
}

/// Words beside a place.
#[derive(Clone, Debug)]
pub struct Note {
    /// To the right, upwards.
    pub at: [f64; 2],
    /// A number or a word.
    pub words: String,
}

/// A rectangle of a map.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// From and to.
    pub x: [f64; 2],
    /// From and to.
    pub y: [f64; 2],
    /// How dark: 0 to 1.
    pub level: f64,
}

/// Where a plot's values lie.
pub struct Frame<'a> {
    plot: &'a Plot,
    axes: [Axis; 2],
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Frame<'_> {
    /// Whether a point has a place.
    pub fn has(&self, point: &Point) -> bool {
        self.plot.x.has(point.x) && self.plot.y.has(point.y)
    }

    /// Pixels from the left.
    pub fn x(&self, value: f64) -> f64 {
        self.left + self.width * self.axes[0].place(value)
    }

    /// Pixels from the top; what has no place upwards (such as a lower end of 0 on a logarithmic axis) is at the bottom.
    pub fn y(&self, value: f64) -> f64 {
        let place = if self.plot.y.has(value) { self.axes[1].place(value) } else { 0.0 };
        self.top + self.height * (1.0 - place)
    }
}

impl Plot {
    /// A plot of series alone.
    pub fn new(x: Measure, y: Measure, series: Vec<Series>) -> Self {
        Self { x, y, series, guides: Vec::new(), apart: false, bounds: Vec::new(), notes: Vec::new(), tiles: None }
    }

    /// How high it is, and what is in it.
    pub(super) fn draw(&self, size: Size) -> (f64, Svg) {
        let mut svg = Svg::default();
        let mut top = legend::draw(&self.entries(), size, 4.0, &mut svg);
        if let Some((_, [low, high])) = &self.tiles {
            top = legend::draw_greys([low, high], top, &mut svg);
        }
        svg.text("strong", Anchor::Start, [8.0, top + 18.0], &fitted(&self.y.label, size.width() - 16.0));
        let frame = self.frame(size, top + 33.0);
        frame.draw_axes(size, &mut svg);
        for tile in self.tiles.iter().flat_map(|(tiles, _)| tiles) {
            frame.draw_tile(tile, &mut svg);
        }
        for guide in &self.guides {
            frame.draw_guide(guide, &mut svg);
        }
        for bounds in &self.bounds {
            marks::draw_bounds(bounds, &frame, &mut svg);
        }
        let barred =
            |series: &&Series| self.apart && !series.banded && series.points.iter().any(|point| point.low.is_some());
        let shifted: Vec<&Series> = self.series.iter().filter(barred).collect();
        for series in &self.series {
            let place = shifted.iter().position(|other| std::ptr::eq(*other, series));
            let middle = (shifted.len().saturating_sub(1)) as f64 / 2.0;
            let stride = (24.0 / shifted.len().max(1) as f64).min(5.0);
            marks::draw(series, &frame, place.map_or(0.0, |place| (place as f64 - middle) * stride), &mut svg);
        }
        frame.draw_notes(&self.notes, &mut svg);
        (frame.top + frame.height + 52.0, svg)
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        let series = self.series.iter().map(|series| Entry {
            label: &series.label,
            style: series.style,
            line: series.joined,
            thin: false,
            mark: series.marked,
        });
        let guides = self.guides.iter().map(|guide| Entry {
            label: &guide.label,
            style: guide.style,
            line: true,
            thin: guide.style != REFERENCE,
            mark: false,
        });
        series.chain(guides).filter(|entry| !entry.label.is_empty()).collect()
    }

    fn frame(&self, size: Size, top: f64) -> Frame<'_> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let tiles = || self.tiles.iter().flat_map(|(tiles, _)| tiles);
        let guides = |upright| self.guides.iter().filter(move |guide| guide.upright == upright).map(|guide| guide.at);
        let bounds = || self.bounds.iter().flat_map(|bounds| &bounds.points);
        let x = points()
            .map(|point| point.x)
            .chain(bounds().map(|place| place[0]))
            .chain(tiles().flat_map(|tile| tile.x))
            .chain(guides(true));
        let ends = |point: &Point| [Some(point.y), point.low, point.high].into_iter().flatten();
        let y = points()
            .flat_map(ends)
            .chain(bounds().map(|place| place[1]))
            .chain(tiles().flat_map(|tile| tile.y))
            .chain(guides(false));
        let wanted = if size == Size::Wide { 8 } else { 5 };
        let mut axes = [Axis::over(&self.x, x, wanted), Axis::over(&self.y, y, 6)];
        let widest = axes[1].ticks.iter().map(|tick| width_of(&tick.1)).fold(20.0, f64::max);
        let left = widest + 20.0;
        let width = size.width() - left - 22.0;
        axes[0].thin(width);
        Frame { plot: self, axes, left, top, width, height: size.plot_height() }
    }
}

impl Frame<'_> {
    fn draw_axes(&self, size: Size, svg: &mut Svg) {
        let (bottom, right) = (self.top + self.height, self.left + self.width);
        let mut free = f64::INFINITY;
        for (value, text) in &self.axes[1].ticks {
            let y = self.y(*value);
            if y < free {
                svg.path("grid", &format!("M{:.1} {y:.1}H{right:.1}", self.left));
                svg.text("", Anchor::End, [self.left - 8.0, y + 4.5], text);
                free = y - 17.0;
            }
        }
        for (value, text) in &self.axes[0].ticks {
            let x = self.x(*value);
            svg.path("axis", &format!("M{x:.1} {bottom:.1}v5"));
            // The outermost texts stay inside of the picture.
            let half = width_of(text) / 2.0;
            let middle = x.clamp(half + 2.0, size.width() - half - 2.0);
            svg.text("", Anchor::Middle, [middle, bottom + 21.0], text);
        }
        svg.path("axis", &format!("M{:.1} {bottom:.1}H{right:.1}", self.left));
        let words = fitted(&self.plot.x.label, size.width() - 16.0);
        let half = width_of(&words) / 2.0;
        let middle = (self.left + self.width / 2.0).clamp(half + 2.0, (size.width() - half - 2.0).max(half + 2.0));
        svg.text("strong", Anchor::Middle, [middle, bottom + 42.0], &words);
    }

    fn draw_guide(&self, guide: &Guide, svg: &mut Svg) {
        let measure = if guide.upright { &self.plot.x } else { &self.plot.y };
        if !measure.has(guide.at) {
            return;
        }
        let d = if guide.upright {
            format!("M{:.1} {:.1}V{:.1}", self.x(guide.at), self.top, self.top + self.height)
        } else {
            format!("M{:.1} {:.1}H{:.1}", self.left, self.y(guide.at), self.left + self.width)
        };
        let class = style::stroke(guide.style);
        svg.path(&if guide.style == REFERENCE { class } else { format!("{class} thin") }, &d);
    }

    /// Above the right of their places, within the plot; one that would lie on another is left out.
    fn draw_notes(&self, notes: &[Note], svg: &mut Svg) {
        let mut taken: Vec<[f64; 2]> = Vec::new();
        for note in notes.iter().filter(|note| self.has(&Point::new(note.at[0], note.at[1]))) {
            let width = width_of(&note.words);
            let x = (self.x(note.at[0]) + 8.0).min(self.left + self.width - width);
            let y = (self.y(note.at[1]) - 7.0).max(self.top + 12.0);
            if taken.iter().all(|other| (other[0] - x).abs() > width + 4.0 || (other[1] - y).abs() > 15.0) {
                svg.text("", Anchor::Start, [x, y], &note.words);
                taken.push([x, y]);
            }
        }
    }

    fn draw_tile(&self, tile: &Tile, svg: &mut Svg) {
        let level = (tile.level.clamp(0.0, 1.0) * (style::GREYS - 1) as f64).round();
        let (x, y) = (self.x(tile.x[0]), self.y(tile.y[1]));
        // A hair wider, or the page shows between tiles.
        let (width, height) = (self.x(tile.x[1]) - x + 0.3, self.y(tile.y[0]) - y + 0.3);
        svg.rect(&format!("g{level}"), [x, y, width, height]);
    }
}
