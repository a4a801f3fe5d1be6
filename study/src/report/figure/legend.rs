//! Who is who, in rows above the data.

use super::Size;
use super::style::{GREYS, fill, marker, stroke};
use super::svg::{Anchor, Svg, fitted, width_of};

/// An entry of a legend.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Words.
    pub label: &'a str,
    /// As which style.
    pub style: usize,
    /// With a piece of line.
    pub line: bool,
    /// Which is thin.
    pub thin: bool,
    /// With a marker.
    pub mark: bool,
}

const ROW: f64 = 21.0;
const SAMPLE: f64 = 30.0;
const GAP: f64 = 20.0;

/// Draws entries from `top` on, row by row; returns where they end.
pub fn draw(entries: &[Entry<'_>], size: Size, top: f64, svg: &mut Svg) -> f64 {
    let (left, right) = (8.0, size.width() - 8.0);
    let (mut x, mut row) = (left, top);
    for entry in entries {
        let words = fitted(entry.label, right - left - SAMPLE - 6.0);
        let width = SAMPLE + 6.0 + width_of(&words);
        if x > left && x + width > right {
            (x, row) = (left, row + ROW);
        }
        let middle = row + ROW / 2.0;
        if entry.line {
            let class = stroke(entry.style);
            let class = if entry.thin { format!("{class} thin") } else { class };
            svg.path(&class, &format!("M{x:.1} {middle:.1}h{SAMPLE}"));
        }
        if entry.mark {
            let class = format!("mark {}", stroke(entry.style).trim_start_matches("line "));
            svg.path(&class, &marker(entry.style, [x + SAMPLE / 2.0, middle], 4.5));
        }
        if !entry.line && !entry.mark {
            svg.rect(&format!("band {}", fill(entry.style)), [x, middle - 5.0, SAMPLE, 10.0]);
        }
        svg.text("", Anchor::Start, [x + SAMPLE + 6.0, middle + 4.5], &words);
        x += width + GAP;
    }
    if entries.is_empty() { top } else { row + ROW }
}

/// Draws the greys of tiles between the words for their ends; returns where they end.
pub fn draw_greys([low, high]: [&str; 2], top: f64, svg: &mut Svg) -> f64 {
    let middle = top + ROW / 2.0;
    svg.text("", Anchor::Start, [8.0, middle + 4.5], low);
    let mut x = 8.0 + width_of(low) + 8.0;
    for index in 0..GREYS {
        svg.rect(&format!("g{index}"), [x, middle - 7.0, 14.0, 14.0]);
        x += 14.0;
    }
    svg.text("", Anchor::Start, [x + 8.0, middle + 4.5], high);
    top + ROW
}
