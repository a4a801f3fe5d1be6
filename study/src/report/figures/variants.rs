//! Arms beside each other at one batch size, and what each recovers of the gap between small and large batch.

use std::collections::BTreeMap;

use super::over_batches::pairs;
use super::{Drawn, Figure, Finding};
use crate::report::data::Data;
use crate::report::figure::{Dot, Dots, Measure, Picture};
use crate::report::tables::{Cell, Job};
use crate::report::view::{BySeed, View};
use crate::report::words::{change, count, list, whole, with_interval};
use crate::statistics::{Interval, interval, mean, mean_interval, paired_interval};

/// Arms of which each is compared with each in what it recovers.
const MOST_PAIRED: usize = 4;

/// One batch and budget at which several cells are compared.
struct Group<'a> {
    batch: u64,
    budget: &'a str,
    /// In the recipe's order; the first is what others are compared with.
    cells: Vec<(&'a Cell, BySeed)>,
    /// The smallest batch of this budget: what there is to recover.
    small: Option<(&'a Cell, BySeed)>,
}

/// For each budget, at the batch with most variants (the largest of these).
pub fn draw(view: &View<'_>) -> Drawn {
    let tested = view.tables.jobs.iter().any(|job| job.test_error.is_some());
    let error = |job: &Job| if tested { job.test_error } else { job.validation_error }.map(|error| 100.0 * error);
    let word = if tested { "test error" } else { "validation error" };
    let mut budgets: Vec<&str> = view.cells().iter().map(|cell| cell.budget.as_str()).collect();
    budgets.dedup();
    budgets.sort_unstable();
    budgets.dedup();
    let several = budgets.len() > 1;
    let groups: Vec<Group<'_>> = budgets.into_iter().filter_map(|budget| group(view, budget, error)).collect();
    if groups.is_empty() {
        return Err("no batch size has two arms with an error to compare".into());
    }
    let both = |group: &Group<'_>| [Some(group.figure(view, word, several)), group.recovery(view, word, several)];
    Ok(groups.iter().flat_map(both).flatten().collect())
}

fn group<'a>(view: &View<'a>, budget: &'a str, error: impl Fn(&'a Job) -> Option<f64>) -> Option<Group<'a>> {
    let mut batches: BTreeMap<u64, Vec<(&Cell, BySeed)>> = BTreeMap::new();
    for cell in view.cells().iter().filter(|cell| cell.budget == budget) {
        let values = view.values(cell, &error);
        if !values.is_empty() {
            batches.entry(cell.batch).or_default().push((cell, values));
        }
    }
    let small = batches.first_key_value().map(|(batch, cells)| (*batch, cells[0].clone()));
    // Of equals the last is taken, which is the largest batch.
    let (batch, cells) = batches.into_iter().max_by_key(|(_, cells)| cells.len())?;
    let small = small.filter(|(other, _)| *other < batch).map(|(_, cell)| cell);
    // Cells that differ in the learning rate alone are other figures' business.
    let several = cells.iter().any(|(cell, _)| (&cell.arm, &cell.rate) != (&cells[0].0.arm, &cells[0].0.rate));
    several.then_some(Group { batch, budget, cells, small })
}

impl Group<'_> {
    fn figure(&self, view: &View<'_>, word: &str, several: bool) -> Figure {
        let mut data = Data::new(&[
            "cell",
            "arm",
            "rate",
            "batch",
            "error",
            "low",
            "high",
            "seeds",
            "difference",
            "difference_low",
            "difference_high",
            "recovered",
            "recovered_low",
            "recovered_high",
        ]);
        let (mut dots, mut clauses, mut short) = (Vec::new(), Vec::new(), Vec::new());
        let shown = self.small.iter().chain(&self.cells);
        for (index, (cell, values)) in shown.enumerate() {
            let Some(mean) = mean_interval(&values.values().copied().collect::<Vec<_>>()) else { continue };
            let other = !std::ptr::eq(*cell, self.cells[0].0);
            let difference = if other { paired_interval(&pairs(&self.cells[0].1, values)) } else { None };
            let share = if other && cell.batch == self.batch { self.recovered(values) } else { None };
            self.tell(cell, values.len(), [Some(mean), difference, share], &mut data);
            if let Some(difference) = difference.filter(|_| cell.batch == self.batch) {
                clauses.push(Finding::of(view.variant(cell), clause(&difference, share, word)));
                short.push(format!("“{}” {}", view.variant(cell), with_interval(&difference)));
            }
            let words = match difference {
                None => format!("{} % (reference)", with_interval(&mean)),
                Some(difference) => format!("{} %, difference {}", with_interval(&mean), with_interval(&difference)),
            };
            let batch = if cell.batch == self.batch { String::new() } else { format!(", batch {}", whole(cell.batch)) };
            let label = format!("{}{batch}", view.variant(cell));
            dots.push(Dot {
                label,
                words,
                style: index,
                value: mean.value,
                ends: mean.low.zip(mean.high).map(|e| [e.0, e.1]),
            });
        }
        let guides = [self.small.as_ref(), self.cells.first()].into_iter().flatten();
        let guides = guides.filter_map(|cell| mean(&cell.1.values().copied().collect::<Vec<_>>())).collect();
        let opening = self.opening(view, word);
        let against = format!("less that of “{}”, in points: {}", view.variant(self.cells[0].0), list(&short));
        let short = opening.iter().cloned().chain([against]).collect::<Vec<_>>().join("; ");
        Figure {
            name: self.name("variants", several),
            title: format!("Arms at batch {}{}", whole(self.batch), self.of_budget(several)),
            picture: Picture::Dots(Dots { x: Measure::linear(&format!("{word} (%)")), dots, guides }),
            caption: self.caption(view),
            found: opening.into_iter().map(Finding::from).chain(clauses).collect(),
            key: true,
            short: Some(short),
            refuted_by: "That an arm makes up for the large batch would be refuted by a paired difference whose interval \
                         includes zero or lies above it.",
            data,
        }
    }

    fn tell(&self, cell: &Cell, seeds: usize, figures: [Option<Interval>; 3], data: &mut Data) {
        let [mean, difference, share] = figures;
        let value = |figure: Option<Interval>| figure.map(|figure| figure.value);
        let low = |figure: Option<Interval>| figure.and_then(|figure| figure.low);
        let high = |figure: Option<Interval>| figure.and_then(|figure| figure.high);
        data.row(&[
            &cell.cell.as_str(),
            &cell.arm.as_str(),
            &cell.rate.as_str(),
            &cell.batch,
            &value(mean),
            &low(mean),
            &high(mean),
            &seeds,
            &value(difference),
            &low(difference),
            &high(difference),
            &value(share),
            &low(share),
            &high(share),
        ]);
    }

    fn name(&self, word: &str, several: bool) -> String {
        if several { format!("{word}-{}", self.budget) } else { word.into() }
    }

    fn of_budget(&self, several: bool) -> String {
        if several { format!(", equal {}", self.budget) } else { String::new() }
    }

    /// From the small batch to the plain large one.
    fn gap(&self) -> Option<Interval> {
        paired_interval(&pairs(&self.small.as_ref()?.1, &self.cells[0].1))
    }

    /// The gap that there is to recover, or that there is none.
    fn opening(&self, view: &View<'_>, word: &str) -> Option<String> {
        let (small, _) = self.small.as_ref()?;
        let gap = self.gap()?;
        let batches = format!("from batch {} to {}", whole(small.batch), whole(self.batch));
        let none = match gap.low {
            Some(low) if low > 0.0 => "",
            Some(_) if gap.excludes(0.0) => ", so the large batch has no gap of which arms could recover a share",
            _ => ", so no share of it is told that arms recover",
        };
        Some(format!("{batches} (“{}”) the {word} {}{none}", view.variant(self.cells[0].0), change(&gap, "points")))
    }

    /// The share of the gap that a variant recovers, over the seeds that all three have; none if the gap itself is not
    /// shown.
    fn recovered(&self, variant: &BySeed) -> Option<Interval> {
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
    fn recovery(&self, view: &View<'_>, word: &str, several: bool) -> Option<Figure> {
        let mut data = Data::new(&["cell", "arm", "less_cell", "less_arm", "share", "low", "high", "seeds"]);
        let (mut dots, mut found, mut short) = (Vec::new(), Vec::new(), Vec::new());
        let arms: Vec<&(&Cell, BySeed)> = self.cells.iter().skip(1).collect();
        for (index, (cell, values)) in arms.iter().enumerate() {
            let Some(share) = self.recovered(values) else { continue };
            let (id, arm) = (cell.cell.as_str(), cell.arm.as_str());
            data.row(&[&id, &arm, &"", &"", &share.value, &share.low, &share.high, &share.count]);
            let percent = share.map(|share| 100.0 * share);
            found.push(Finding::of(view.variant(cell), recovers(&share)));
            short.push(format!("“{}” {} %", view.variant(cell), with_interval(&percent)));
            dots.push(Dot {
                label: view.variant(cell).into(),
                words: format!("{} %", with_interval(&percent)),
                // Behind the small batch's and the plain large one's.
                style: index + 2,
                value: percent.value,
                ends: percent.low.zip(percent.high).map(|ends| [ends.0, ends.1]),
            });
        }
        if dots.is_empty() {
            return None;
        }
        found.extend(self.between(view, &arms, &mut data));
        let (small, _) = self.small.as_ref()?;
        Some(Figure {
            name: self.name("recovered", several),
            title: format!("What arms recover of the gap{}", self.of_budget(several)),
            picture: Picture::Dots(Dots {
                x: Measure::linear("share of the gap that is recovered (%)").covering(&[0.0, 100.0]),
                dots,
                guides: vec![0.0, 100.0],
            }),
            caption: format!(
                "(variant − large)/(small − large) of the mean {word}s: 0 % is “{}” at batch {}, 100 % is {} (dotted lines). \
                 Intervals resample seeds, those of all three together; those of differences are not widened for their number.",
                view.variant(self.cells[0].0),
                whole(self.batch),
                view.label(small),
            ),
            found,
            key: true,
            short: Some(format!("recovered of the gap: {}", list(&short))),
            refuted_by: "That an arm does what the small batch does would be refuted by a share whose interval includes 0 % or \
                         lies below 100 %; that one does it better than another, by a difference whose interval includes zero.",
            data,
        })
    }

    /// By how much shares differ, each pair of few arms.
    fn between(&self, view: &View<'_>, arms: &[&(&Cell, BySeed)], data: &mut Data) -> Vec<Finding> {
        let mut found = Vec::new();
        if arms.len() > MOST_PAIRED {
            return found;
        }
        for (index, (one, of_one)) in arms.iter().enumerate() {
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

    fn caption(&self, view: &View<'_>) -> String {
        let small = match &self.small {
            Some((cell, _)) => format!(" The first row is the small batch ({}).", view.label(cell)),
            None => String::new(),
        };
        format!(
            "Means over seeds with 95 % bootstrap intervals; dotted lines are at the rows that others are compared with: {}.{small} \
             Differences are paired by seed.",
            view.variant(self.cells[0].0)
        )
    }
}

/// What a share comes to.
fn recovers(share: &Interval) -> String {
    let told = with_interval(&share.map(|share| 100.0 * share));
    let verdict = match (share.excludes(0.0), share.excludes(1.0)) {
        _ if share.low.is_none() => "too few seeds for an interval",
        (false, false) => "which may be nothing or all of it",
        (false, true) => "the interval includes zero, so none is shown",
        (true, _) if share.value < 0.0 => "it widens the gap",
        (true, false) => "which may be all of it",
        (true, true) if share.value < 1.0 => "a part of it",
        (true, true) => "more than all of it",
    };
    format!("recovers {told} % of the gap: {verdict} ({})", count(share.count, "seed"))
}

/// What two shares differ by.
fn differs(difference: &Interval) -> String {
    let percent = difference.map(|share| 100.0 * share);
    let told = with_interval(&percent);
    match (difference.low.is_some(), difference.excludes(0.0)) {
        (false, _) => format!("the shares differ by {told} % of the gap (too few seeds for an interval)"),
        (true, false) => format!("the shares differ by {told} % of the gap: no difference is shown"),
        (true, true) if difference.value > 0.0 => format!("recovers more, by {told} % of the gap"),
        (true, true) => format!("recovers less, by {} % of the gap", with_interval(&negated(&percent))),
    }
}

fn negated(interval: &Interval) -> Interval {
    let (low, high) = (interval.high.map(|high| -high), interval.low.map(|low| -low));
    Interval { value: -interval.value, low, high, count: interval.count }
}

fn clause(difference: &Interval, share: Option<Interval>, word: &str) -> String {
    let recovered = match share {
        None => String::new(),
        Some(share) => format!(", {} % of the gap", with_interval(&share.map(|share| 100.0 * share))),
    };
    let pairs = count(difference.count, "pair");
    format!("the {word} {}{recovered} ({pairs} of seeds)", change(difference, "points"))
}
