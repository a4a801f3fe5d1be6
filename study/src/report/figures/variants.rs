//! Arms beside each other at one batch size; what they recover of the gap is `recovered`'s.

use std::collections::{BTreeMap, BTreeSet};

use super::over_batches::pairs;
use super::{Drawn, Figure, Finding};
use crate::report::data::Data;
use crate::report::figure::{Dot, Dots, Measure, Picture};
use crate::report::tables::{Cell, Job};
use crate::report::view::{BySeed, View};
use crate::report::words::{change, count, doubt, list, percent, whole, with_interval};
use crate::statistics::{FEWEST_SEEDS, Interval, mean, mean_interval, paired_interval};

/// One batch and budget at which several cells are compared.
pub struct Group<'a> {
    pub batch: u64,
    budget: &'a str,
    /// In the recipe's order; the first is what others are compared with.
    pub cells: Vec<(&'a Cell, BySeed)>,
    /// The smallest batch of this budget: what there is to recover.
    pub small: Option<(&'a Cell, BySeed)>,
}

/// For each budget, at the batch with most variants (the largest of these).
pub fn draw(view: &View<'_>) -> Drawn {
    let word = if view.tested() { "test error" } else { "validation error" };
    let several = budgets(view).len() > 1;
    let groups = groups(view);
    if groups.is_empty() {
        return Err("no batch size has two arms with an error to compare".into());
    }
    let both = |group: &Group<'_>| [Some(group.figure(view, word, several)), group.recovery(view, word, several)];
    Ok(groups.iter().flat_map(both).flatten().collect())
}

/// Whether there are arms to compare.
pub fn are_there(view: &View<'_>) -> bool {
    !groups(view).is_empty()
}

fn groups<'a>(view: &View<'a>) -> Vec<Group<'a>> {
    budgets(view).into_iter().filter_map(|budget| group(view, budget, view.error())).collect()
}

fn budgets<'a>(view: &View<'a>) -> BTreeSet<&'a str> {
    view.cells().iter().map(|cell| cell.budget.as_str()).collect()
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

/// A row of the figure.
struct Shown<'a> {
    cell: &'a Cell,
    seeds: usize,
    mean: Interval,
    /// From the cell that others are compared with, paired by seed; none for that one itself.
    difference: Option<Interval>,
    /// The share of the gap that it recovers.
    share: Option<Interval>,
}

const COLUMNS: [&str; 14] = [
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
];

impl Shown<'_> {
    fn tell(&self, data: &mut Data) {
        let value = |figure: Option<Interval>| figure.map(|figure| figure.value);
        let low = |figure: Option<Interval>| figure.and_then(|figure| figure.low);
        let high = |figure: Option<Interval>| figure.and_then(|figure| figure.high);
        data.row(&[
            &self.cell.cell.as_str(),
            &self.cell.arm.as_str(),
            &self.cell.rate.as_str(),
            &self.cell.batch,
            &self.mean.value,
            &self.mean.low,
            &self.mean.high,
            &self.seeds,
            &value(self.difference),
            &low(self.difference),
            &high(self.difference),
            &value(self.share),
            &low(self.share),
            &high(self.share),
        ]);
    }

    fn dot(&self, label: String, style: usize) -> Dot {
        let words = match &self.difference {
            None => format!("{} % (reference)", with_interval(&self.mean)),
            Some(difference) => format!("{} %, difference {}", with_interval(&self.mean), with_interval(difference)),
        };
        Dot { label, words, style, value: self.mean.value, ends: self.mean.ends() }
    }
}

impl Group<'_> {
    fn figure(&self, view: &View<'_>, word: &str, several: bool) -> Figure {
        let rows = self.small.iter().chain(&self.cells);
        let shown: Vec<Shown<'_>> = rows.filter_map(|(cell, values)| self.shown(cell, values)).collect();
        let mut data = Data::new(&COLUMNS);
        shown.iter().for_each(|row| row.tell(&mut data));
        let dots = shown.iter().enumerate().map(|(style, row)| row.dot(self.label(view, row.cell), style)).collect();
        let guides = [self.small.as_ref(), self.cells.first()].into_iter().flatten();
        let guides = guides.filter_map(|cell| mean(&cell.1.values().copied().collect::<Vec<_>>())).collect();
        let (mut clauses, mut short) = (Vec::new(), Vec::new());
        for row in shown.iter().filter(|row| row.cell.batch == self.batch) {
            let (Some(difference), name) = (&row.difference, view.variant(row.cell)) else { continue };
            clauses.push(Finding::of(name, clause(difference, row.share, word)));
            let doubt = doubt(difference, 0.0, "no change is shown");
            short.push(format!("“{name}” {}{doubt}", with_interval(difference)));
        }
        let opening = self.opening(view, word);
        let plain = view.variant(self.cells[0].0);
        let against = format!("the {word} of arms less that of “{plain}”, in points: {}", list(&short));
        let short = opening.iter().cloned().chain([against]).collect::<Vec<_>>().join("; ");
        Figure {
            name: self.name("variants", several),
            title: format!("Arms at batch {}{}", whole(self.batch), self.of_budget(several)),
            picture: Picture::Dots(Dots { x: Measure::linear(&format!("{word} (%)")), dots, guides }),
            caption: self.caption(view),
            found: opening.into_iter().map(Finding::from).chain(clauses).collect(),
            key: true,
            short: Some(short),
            refuted_by: "That an arm makes up for the large batch would be refuted by a paired difference whose interval lies \
                         above zero; one that includes zero shows nothing either way.",
            data,
        }
    }

    fn shown<'c>(&self, cell: &'c Cell, values: &BySeed) -> Option<Shown<'c>> {
        let mean = mean_interval(&values.values().copied().collect::<Vec<_>>())?;
        let other = !std::ptr::eq(cell, self.cells[0].0);
        let difference = if other { paired_interval(&pairs(&self.cells[0].1, values)) } else { None };
        let share = if other && cell.batch == self.batch { self.recovered(values) } else { None };
        Some(Shown { cell, seeds: values.len(), mean, difference, share })
    }

    fn label(&self, view: &View<'_>, cell: &Cell) -> String {
        let batch = if cell.batch == self.batch { String::new() } else { format!(", batch {}", whole(cell.batch)) };
        format!("{}{batch}", view.variant(cell))
    }

    /// What a file of this budget is called.
    pub fn name(&self, word: &str, several: bool) -> String {
        if several { format!("{word}-{}", self.budget) } else { word.into() }
    }

    /// In a title.
    pub fn of_budget(&self, several: bool) -> String {
        if several { format!(", equal {}", self.budget) } else { String::new() }
    }

    /// From the small batch to the plain large one.
    pub fn gap(&self) -> Option<Interval> {
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

    fn caption(&self, view: &View<'_>) -> String {
        let small = match &self.small {
            Some((cell, _)) => format!(" The first row is the small batch ({}).", view.label(cell)),
            None => String::new(),
        };
        format!(
            "Means over seeds with 95 % bootstrap intervals where there are at least {FEWEST_SEEDS}; dotted lines are at the rows that others are compared with: {}.{small} \
             Differences are paired by seed.",
            view.variant(self.cells[0].0)
        )
    }
}

fn clause(difference: &Interval, share: Option<Interval>, word: &str) -> String {
    let recovered = match share {
        None => String::new(),
        Some(share) => format!(", {} of the gap", percent(&share)),
    };
    let pairs = count(difference.count, "pair");
    format!("the {word} {}{recovered} ({pairs} of seeds)", change(difference, "points"))
}
