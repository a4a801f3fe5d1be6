//! Words as outlines, for pictures of pixels: the same on every machine, whatever fonts it has.
//!
//! The font is Roboto (`roboto/`): Latin, Greek and Cyrillic letters, superscripts, and the signs of mathematics that
//! reports use. What it does not have is an empty box, in PNG files only.

use std::fmt::Write;

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use super::svg::{Anchor, BELOW, FONT, INDEX};
use crate::report::symbols::{Piece, pieces};

const REGULAR: &[u8] = include_bytes!("roboto/Roboto-Regular.ttf");
const BOLD: &[u8] = include_bytes!("roboto/Roboto-Bold.ttf");

/// The `d` of a path that looks as these words do: with their start, middle or end at `at`, on their base line.
pub fn outlines(words: &str, strong: bool, anchor: Anchor, [x, y]: [f64; 2]) -> String {
    let face = Face::parse(if strong { BOLD } else { REGULAR }, 0).expect("the font of this program");
    let letters = pieces(words).into_iter().flat_map(|piece| {
        let (words, size, below) = match piece {
            Piece::Plain(words) => (words, FONT, 0.0),
            Piece::Index(words) => (words, INDEX, BELOW),
        };
        words.chars().map(move |letter| (letter, size, below))
    });
    let scale_of = |size: f64| size / f64::from(face.units_per_em());
    let glyphs: Vec<(GlyphId, f64, f64)> = letters
        .map(|(letter, size, below)| (face.glyph_index(letter).unwrap_or_default(), scale_of(size), below))
        .collect();
    let advance = |glyph, scale: f64| scale * f64::from(face.glyph_hor_advance(glyph).unwrap_or(0));
    let width: f64 = glyphs.iter().map(|(glyph, scale, _)| advance(*glyph, *scale)).sum();
    let mut left = match anchor {
        Anchor::Start => x,
        Anchor::Middle => x - width / 2.0,
        Anchor::End => x - width,
    };
    let mut d = String::new();
    for (glyph, scale, below) in glyphs {
        // None for a space.
        let _ = face.outline_glyph(glyph, &mut Pen { d: &mut d, at: [left, y + below], scale });
        left += advance(glyph, scale);
    }
    d
}

/// Writes a glyph at a place, upside down as fonts are.
struct Pen<'a> {
    d: &'a mut String,
    at: [f64; 2],
    scale: f64,
}

impl Pen<'_> {
    fn stroke(&mut self, command: char, places: &[[f32; 2]]) {
        self.d.push(command);
        for [x, y] in places {
            let place = [self.at[0] + self.scale * f64::from(*x), self.at[1] - self.scale * f64::from(*y)];
            // Writing to a String can't fail.
            let _ = write!(self.d, "{:.2} {:.2} ", place[0], place[1]);
        }
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        self.stroke('M', &[[x, y]]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.stroke('L', &[[x, y]]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.stroke('Q', &[[x1, y1], [x, y]]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.stroke('C', &[[x1, y1], [x2, y2], [x, y]]);
    }

    fn close(&mut self) {
        self.d.push('z');
    }
}

#[cfg(test)]
mod tests {
    use super::super::svg::width_of;
    use super::*;

    /// Least and most x of what is drawn.
    fn span(d: &str) -> [f64; 2] {
        let numbers = |part: &str| part.split_whitespace().map(|n| n.parse::<f64>().unwrap()).collect::<Vec<_>>();
        let strokes = d.split(['M', 'L', 'Q', 'C', 'z']).map(numbers);
        let x = strokes.flat_map(|numbers| numbers.into_iter().step_by(2).collect::<Vec<_>>());
        x.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)])
    }

    #[test]
    fn words_lie_where_they_are_anchored_and_are_no_wider_than_is_reckoned_with() {
        for words in ["batch size (samples)", "λ_max ÷ threshold", "B_simple, mean over the run", "2×10⁻⁵", "−0.25 %"]
        {
            for strong in [false, true] {
                let of = |anchor| span(&outlines(words, strong, anchor, [100.0, 50.0]));
                let ([start, _], [_, end]) = (of(Anchor::Start), of(Anchor::End));
                let middle = of(Anchor::Middle).iter().sum::<f64>() / 2.0;
                assert!((start - 100.0).abs() < 2.0 && (end - 100.0).abs() < 2.0, "{words}: {start} {end}");
                assert!((middle - 100.0).abs() < 1.0, "{words}: {middle}");
                let [left, right] = of(Anchor::Start);
                assert!(right - left <= width_of(words), "{words}: {} and {}", right - left, width_of(words));
            }
        }
    }

    #[test]
    fn the_font_has_all_letters_of_reports() {
        for font in [REGULAR, BOLD] {
            let face = Face::parse(font, 0).unwrap();
            for letter in "AZaz09Łéñß αβελημρσφΣЖ √²³−×÷±‖⁰¹⁴⁹⁻…–—“”’·^_%()[]≤≥∞½".chars()
            {
                assert!(face.glyph_index(letter).is_some(), "{letter}");
            }
        }
        let box_of = |words: &str| outlines(words, false, Anchor::Start, [0.0, 0.0]);
        assert!(!box_of("数").is_empty() && box_of("数") == box_of("語") && box_of(" ").is_empty());
    }
}
