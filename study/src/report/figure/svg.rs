//! SVG as text: elements with escaped words and finite numbers.

use super::{Size, letters, style};
use crate::report::symbols::{Piece, pieces};

/// Size of all text.
pub const FONT: f64 = 13.0;
/// Size of an index.
pub const INDEX: f64 = 10.0;
/// How far it is below the line.
pub const BELOW: f64 = 3.0;

/// A piece of SVG in the making.
#[derive(Debug, Default)]
pub struct Svg(Vec<Part>);

/// An element.
#[derive(Debug)]
enum Part {
    /// As it is written.
    Drawn(String),
    /// Words, which are written as text or as the outlines of letters.
    Words { class: String, anchor: Anchor, at: [f64; 2], words: String },
}

/// How words are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lettering {
    /// As text, in a font of whoever looks at it.
    Text,
    /// As paths, in our own font, for who has none.
    Outlines,
}

/// On which side of its place a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn path(&mut self, class: &str, d: &str) {
        self.0.push(Part::Drawn(format!("<path class=\"{class}\" d=\"{d}\"/>")));
    }

    pub fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4]) {
        self.0.push(Part::Drawn(format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        )));
    }

    pub fn text(&mut self, class: &str, anchor: Anchor, at: [f64; 2], words: &str) {
        self.0.push(Part::Words { class: class.into(), anchor, at, words: words.into() });
    }

    /// All of it, with words written so.
    pub fn finish(self, lettering: Lettering) -> String {
        self.0.into_iter().map(|part| part.written(lettering)).collect()
    }
}

impl Part {
    fn written(self, lettering: Lettering) -> String {
        match (self, lettering) {
            (Self::Drawn(element), _) => element,
            (Self::Words { class, anchor, at: [x, y], words }, Lettering::Text) => {
                let (anchor, words) = (anchor.word(), spans(&words));
                format!("<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>")
            }
            (Self::Words { class, anchor, at, words }, Lettering::Outlines) => {
                let d = letters::outlines(&words, class == "strong", anchor, at);
                format!("<path class=\"letters {class}\" d=\"{d}\"/>")
            }
        }
    }
}

impl Anchor {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// Words of a text, with indices below the line.
fn spans(words: &str) -> String {
    let mut lowered = false;
    let span = |piece: Piece<'_>| match piece {
        Piece::Index(index) => {
            lowered = true;
            format!("<tspan class=\"index\" dy=\"{BELOW}\">{}</tspan>", escape(index))
        }
        Piece::Plain(words) if std::mem::take(&mut lowered) => {
            format!("<tspan dy=\"-{BELOW}\">{}</tspan>", escape(words))
        }
        Piece::Plain(words) => escape(words),
    };
    pieces(words).into_iter().map(span).collect()
}

/// About how wide a text is, on the safe side for common system fonts.
pub fn width_of(words: &str) -> f64 {
    let of = |letter: char| match letter {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | ' ' | '(' | ')' | '[' | ']' => {
            0.4
        }
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 1.0,
        'A'..='Z' | '=' | '+' | '−' | '×' | '√' | '·' => 0.78,
        letter if letter.is_ascii() => 0.62,
        'Ͱ'..='Ͽ' | '⁰'..='₟' | '²' | '³' | '¹' => 0.62,
        _ => 1.0,
    };
    FONT * words.chars().map(of).sum::<f64>()
}

/// The words, or their beginning if they don't fit.
pub fn fitted(words: &str, width: f64) -> String {
    if width_of(words) <= width {
        return words.into();
    }
    let (mut taken, mut used) = (String::new(), FONT);
    for letter in words.chars() {
        used += width_of(letter.encode_utf8(&mut [0; 4]));
        if used > width {
            break;
        }
        taken.push(letter);
    }
    format!("{}…", taken.trim_end())
}

/// Words of a page, with indices below the line.
pub fn typeset(words: &str) -> String {
    let piece = |piece| match piece {
        Piece::Plain(words) => escape(words),
        Piece::Index(index) => format!("<sub>{}</sub>", escape(index)),
    };
    pieces(words).into_iter().map(piece).collect()
}

/// Words as text or attribute of HTML and XML. Characters that XML can't have become �.
pub fn escape(words: &str) -> String {
    let mut escaped = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// The whole element.
pub fn wrapped(size: Size, height: f64, inside: &str, name: &str, [title, description]: [&str; 2]) -> String {
    let (word, width) = (size.word(), size.width());
    let (name, title, description) = (escape(name), escape(title), escape(description));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{word}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         aria-labelledby=\"{name}-{word}-title {name}-{word}-description\">\
         <title id=\"{name}-{word}-title\">{title}</title>\
         <desc id=\"{name}-{word}-description\">{description}</desc>\
         <rect class=\"page\" width=\"{width:.0}\" height=\"{height:.0}\"/>{inside}</svg>"
    )
}

/// A picture as a file of its own: with its style.
pub fn standalone(svg: &str) -> String {
    styled(svg, &style::rules())
}

/// A picture with these rules in it.
pub fn styled(svg: &str, rules: &str) -> String {
    let at = svg.find("<title").unwrap_or(svg.len());
    format!("{}<style>{rules}</style>{}\n", &svg[..at], &svg[at..])
}
