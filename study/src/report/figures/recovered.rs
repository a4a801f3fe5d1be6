//! What arms recover of the gap between small and large batch, and whether one recovers more than another.

use super::variants::Group;
use super::{Figure, Finding};
use crate::report::data::Data;
use crate::report::figure::{Dot, Dots, Measure, Picture};
use crate::report::tables::Cell;
use crate::report::view::{BySeed, View};
use crate::report::words::{count, doubt, list, percent, whole};
use crate::statistics::{Interval, interval, mean};

/// Arms of which each is compared with each in what it recovers: 21 pairs. Of more only the first is, with each.
const MOST_PAIRED: usize = 7;

impl Group<'_> {
    /// The share of the gap that a variant recovers, over the seeds that all three have; none if the gap itself is not
    /// shown.
    pub fn recovered(&self, variant: &BySeed) -> Option<Interval> {
        self.of_gap(&self.cells[0].1, variant)
    }

    /// `(from − to)/(large − small)` of mean errors, resampled by seeds that all have; none if the gap is not shown.
    fn of_gap(&self, from: &BySeed, to: &BySeed) -> Option<Interval> {
        let (_, small) = self.small.as_ref()?;
        self.gap()?.low.filter(|low| *low > 0.0)?;
        let of = |(seed, large): (&u64, &f64)| Some([*small.get(seed)?, *large, *from.get(seed)?, *to.get(seed)?]);
        let seeds: Vec<[f64; 4]> = self.cells[0].1.iter().filter_map(of).collect();
        interval(seeds.len(), |sample| {
            let part = |which: usize| mean(&sample.iter().map(|seed| seeds[*seed][which]).collect::<Vec<_>>());
            let (small, large, from, to) = (part(0)?, part(1)?, part(2)?, part(3)?);
            Some((from - to) / (large - small))
        })
    }

    /// What each variant recovers of the gap, and how far they differ in that; none if there is no gap.
    pub fn recovery(&self, view: &View<'_>, word: &str, several: bool) -> Option<Figure> {
        let mut data = Data::new(&["cell", "arm", "less_cell", "less_arm", "share", "low", "high", "seeds"]);
        let arms: Vec<&(&Cell, BySeed)> = self.cells.iter().skip(1).collect();
        let of = |(cell, values): &(&Cell, BySeed)| Some((view.variant(cell).to_owned(), self.recovered(values)?));
        let shared = arms.iter().filter_map(|arm| of(arm).map(|(name, share)| (name, arm.0, share)));
        let shares: Vec<(String, &Cell, Interval)> = shared.collect();
        if shares.is_empty() {
            return None;
        }
        for (_, cell, share) in &shares {
            let (id, arm) = (cell.cell.as_str(), cell.arm.as_str());
            data.row(&[&id, &arm, &"", &"", &share.value, &share.low, &share.high, &share.count]);
        }
        let mut found: Vec<_> = shares.iter().map(|(name, _, share)| Finding::of(name, recovers(share))).collect();
        let short: Vec<_> = shares
            .iter()
            .map(|(name, _, share)| format!("“{name}” {}{}", percent(share), doubt(share, 0.0, "none is shown")))
            .collect();
        // Behind the styles of the small batch and of the plain large one.
        let dots = shares.iter().enumerate().map(|(index, (name, _, share))| dot(name, index + 2, share)).collect();
        found.extend(self.between(view, &arms, &mut data));
        let (small, _) = self.small.as_ref()?;
        let span = format!("from batch {} to {}", whole(small.batch), whole(self.batch));
        Some(Figure {
            name: self.name("recovered", several),
            title: format!("What arms recover of the gap{}", self.of_budget(several)),
            picture: Picture::Dots(Dots {
                x: Measure::linear("share of the gap that is recovered (%)").covering(&[0.0, 100.0]),
                dots,
                guides: vec![0.0, 100.0],
            }),
            caption: self.recovery_caption(view, word, arms.len()),
            found,
            key: true,
            short: Some(format!("of the gap in the {word} {span} arms recover: {}", list(&short))),
            refuted_by: "That an arm does what the small batch does would be refuted by a share whose interval lies below 100 %; \
                         that one does it better than another, by a difference whose interval lies below zero (one that \
                         includes zero shows nothing either way).",
            data,
        })
    }

    fn recovery_caption(&self, view: &View<'_>, word: &str, arms: usize) -> String {
        let small = self.small.as_ref().map_or(String::new(), |(small, _)| view.label(small));
        let pairs = if arms > MOST_PAIRED { " Of so many arms the first alone is compared with each." } else { "" };
        format!(
            "(variant − large)/(small − large) of the mean {word}s: 0 % is “{}” at batch {}, 100 % is {small} (dotted lines). \
             Intervals resample seeds, those of all three together; those of differences are not widened for their \
             number.{pairs}",
            view.variant(self.cells[0].0),
            whole(self.batch),
        )
    }

    /// By how much shares differ: each pair of few arms, the first of many with each.
    fn between(&self, view: &View<'_>, arms: &[&(&Cell, BySeed)], data: &mut Data) -> Vec<Finding> {
        let mut found = Vec::new();
        let firsts = if arms.len() > MOST_PAIRED { 1 } else { arms.len() };
        for (index, (one, of_one)) in arms.iter().enumerate().take(firsts) {
            for (other, of_other) in &arms[index + 1..] {
                let Some(difference) = self.of_gap(of_other, of_one) else { continue };
                let (cells, names) = ([one.cell.as_str(), other.cell.as_str()], [one.arm.as_str(), other.arm.as_str()]);
                let Interval { value, low, high, count } = difference;
                data.row(&[&cells[0], &names[0], &cells[1], &names[1], &value, &low, &high, &count]);
                let pair = format!("{} against {}", view.variant(one), view.variant(other));
                found.push(Finding::of(&pair, differs(&difference)));
            }
        }
        found
    }
}

/// A share as a row.
fn dot(name: &str, style: usize, share: &Interval) -> Dot {
    let hundredths = share.map(|share| 100.0 * share);
    Dot { label: name.into(), words: percent(share), style, value: hundredths.value, ends: hundredths.ends() }
}

/// What a share comes to.
fn recovers(share: &Interval) -> String {
    let verdict = match (share.excludes(0.0), share.excludes(1.0)) {
        _ if share.low.is_none() => share.lacks().unwrap_or_default(),
        (false, false) => "which may be nothing or all of it",
        (false, true) => "the interval includes zero, so none is shown",
        (true, _) if share.value < 0.0 => "it widens the gap",
        (true, false) => "which may be all of it",
        (true, true) if share.value < 1.0 => "a part of it",
        (true, true) => "more than all of it",
    };
    format!("recovers {} of the gap: {verdict} ({})", percent(share), count(share.count, "seed"))
}

/// What two shares differ by.
fn differs(difference: &Interval) -> String {
    let told = percent(difference);
    match (difference.lacks(), difference.excludes(0.0)) {
        (Some(reason), _) => format!("the shares differ by {told} of the gap ({reason})"),
        (None, false) => format!("the shares differ by {told} of the gap: no difference is shown"),
        (None, true) if difference.value > 0.0 => format!("recovers more, by {told} of the gap"),
        (None, true) => format!("recovers less, by {} of the gap", percent(&negated(difference))),
    }
}

fn negated(interval: &Interval) -> Interval {
    let (low, high) = (interval.high.map(|high| -high), interval.low.map(|low| -low));
    Interval { value: -interval.value, low, high, count: interval.count }
}
