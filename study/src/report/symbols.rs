//! Symbols with an index, such as λ_max: where a page or a picture can, the index is set below the line.

/// Those that reports have: before the index, and the index.
const SYMBOLS: [(&str, &str); 5] = [("λ", "max"), ("S", "min"), ("E", "min"), ("B", "crit"), ("B", "simple")];

/// A piece of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// On the line.
    Plain(&'a str),
    /// Below it.
    Index(&'a str),
}

/// Words in pieces, without the underscores of known symbols.
pub fn pieces(words: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = words;
    while let Some((end, index)) = first(rest) {
        pieces.extend([Piece::Plain(&rest[..end]), Piece::Index(index)]);
        rest = &rest[end + 1 + index.len()..];
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Plain(rest));
    }
    pieces
}

/// The place of the first symbol's underscore, and its index.
fn first(words: &str) -> Option<(usize, &'static str)> {
    words.match_indices('_').find_map(|(at, _)| {
        let is = |(symbol, index): &&(&str, &str)| {
            let letter = |text: Option<char>| text.is_some_and(char::is_alphanumeric);
            let alone = !letter(words[..at].strip_suffix(symbol).and_then(|before| before.chars().next_back()));
            let ends = !letter(words[at + 1..].strip_prefix(index).and_then(|behind| behind.chars().next()));
            words[..at].ends_with(symbol) && words[at + 1..].starts_with(index) && alone && ends
        };
        SYMBOLS.iter().find(is).map(|(_, index)| (at, *index))
    })
}

#[cfg(test)]
mod tests {
    use super::Piece::{Index, Plain};
    use super::*;

    #[test]
    fn indices_of_known_symbols_are_found() {
        assert_eq!(pieces("λ_max ÷ 2/η"), [Plain("λ"), Index("max"), Plain(" ÷ 2/η")]);
        assert_eq!(pieces("(S/S_min − 1)"), [Plain("(S/S"), Index("min"), Plain(" − 1)")]);
        assert_eq!(pieces("B_crit"), [Plain("B"), Index("crit")]);
        for plain in ["", "weight_decay", "B_critical", "AB_crit", "λ_maxi", "_max", "tables/jobs_min.csv", "数_max"]
        {
            assert_eq!(pieces(plain), [Plain(plain)]);
        }
    }
}
