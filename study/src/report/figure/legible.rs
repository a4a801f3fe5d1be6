//! How many series a picture can have before nobody can tell them apart.

use super::plot::Plot;
use super::style::{REFERENCE, STYLES};

impl Plot {
    /// Keeps as many series as there are styles, evenly from the first to the last, with the guides that are theirs; gives
    /// the words that say so, or none. Series of one style stay together.
    pub fn legible(&mut self) -> String {
        let mut styles: Vec<usize> = Vec::new();
        for series in self.series.iter().filter(|series| series.style != REFERENCE) {
            if !styles.contains(&series.style) {
                styles.push(series.style);
            }
        }
        if styles.iter().all(|style| *style < STYLES) {
            return String::new();
        }
        let all = styles.len();
        let drawn = all.min(STYLES);
        let kept: Vec<usize> = (0..drawn).map(|place| styles[place * (all - 1) / (drawn - 1).max(1)]).collect();
        let rank = |style: usize| match style {
            REFERENCE => Some(REFERENCE),
            style => kept.iter().position(|kept| *kept == style),
        };
        self.series.retain_mut(|series| rank(series.style).map(|style| series.style = style).is_some());
        self.guides.retain_mut(|guide| rank(guide.style).map(|style| guide.style = style).is_some());
        self.bounds.retain_mut(|bounds| rank(bounds.style).map(|style| bounds.style = style).is_some());
        if drawn == all { String::new() } else { format!(" {drawn} of {all} are drawn; all are in the data.") }
    }
}
