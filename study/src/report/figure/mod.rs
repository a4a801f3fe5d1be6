//! Pictures as SVG: a plot is told what it shows, and lays itself out for a wide page or a telephone.
//!
//! Lines differ by colour (Okabe & Ito's, which the colour-blind tell apart), dash and marker, so that they can be told
//! apart in black and white. Legends have rows of their own above the data. The same picture is drawn twice rather than
//! scaled, since text that is readable at 760 pixels is not at 360. For slides and papers the wide one is a PNG as well, from
//! the same SVG (`png`), with letters as outlines of a font of our own (`letters`).

mod axis;
mod dots;
mod legend;
mod legible;
mod letters;
mod marks;
mod plot;
mod png;
mod style;
mod svg;
mod ticks;

pub use axis::Measure;
pub use dots::{Dot, Dots};
pub use plot::{Bounds, Guide, Note, Plot, Point, Series, Tile};
pub use style::{REFERENCE, rules};
pub use svg::{escape, standalone, typeset};
pub use ticks::{grouped, power_of_ten};

use svg::Lettering;

/// What a picture is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A page of a desktop, a sheet of paper, a file.
    Wide,
    /// A telephone held upright.
    Narrow,
}

impl Size {
    /// Units of the view box, which are pixels or nearly so.
    fn width(self) -> f64 {
        match self {
            Self::Wide => 760.0,
            Self::Narrow => 360.0,
        }
    }

    /// Of the data's part of a plot.
    fn plot_height(self) -> f64 {
        match self {
            Self::Wide => 320.0,
            Self::Narrow => 250.0,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// A picture of either kind.
#[derive(Clone, Debug)]
pub enum Picture {
    /// Values over axes.
    Plot(Box<Plot>),
    /// A row for each of some things.
    Dots(Dots),
}

impl Picture {
    /// The SVG, without its style. `name` makes ids unique, `told` is for those who can't see it: title, description.
    pub fn draw(&self, size: Size, name: &str, told: [&str; 2]) -> String {
        self.written(size, Lettering::Text, name, told)
    }

    /// The wide picture as a PNG file, as it is on a light page.
    ///
    /// # Errors
    /// In words, if it can't be made.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        let svg = self.written(Size::Wide, Lettering::Outlines, "", ["", ""]);
        png::of(&svg::styled(&svg, &style::light_rules()))
    }

    fn written(&self, size: Size, lettering: Lettering, name: &str, told: [&str; 2]) -> String {
        let (height, inside) = match self {
            Self::Plot(plot) => plot.draw(size),
            Self::Dots(dots) => dots.draw(size),
        };
        svg::wrapped(size, height, &inside.finish(lettering), name, told)
    }
}
