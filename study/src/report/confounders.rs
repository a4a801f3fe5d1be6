//! What else than the batch size could be the cause, and what this study did about it. Filled from its own settings.

use std::collections::{BTreeMap, BTreeSet};

use super::tables::{Cell, Tables};
use super::view::{View, rate_words};
use super::words::{count, list, whole};

/// How far a confounder is out of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It can't be the cause.
    Controlled,
    /// It can be, in part.
    Partly,
    /// It can be.
    Open,
    /// What would tell is not there.
    Unknown,
}

impl State {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Controlled => "controlled",
            Self::Partly => "partly",
            Self::Open => "NOT controlled",
            Self::Unknown => "not known",
        }
    }
}

/// A confounder.
#[derive(Clone, Debug)]
pub struct Confounder {
    /// What it is.
    pub name: &'static str,
    /// What was done about it here.
    pub control: String,
    /// How far that helps.
    pub state: State,
}

/// All of them.
pub fn confounders(view: &View<'_>) -> Vec<Confounder> {
    let rows: [(&'static str, (String, State)); 7] = [
        ("Learning rate", learning_rate(view)),
        ("Budget", budget(view)),
        ("Batch statistics", statistics(view)),
        ("Seeds", seeds(view)),
        ("Selection", selection(view)),
        ("Divergence", divergence(view)),
        ("Machines and builds", fingerprints(view.tables)),
    ];
    rows.into_iter().map(|(name, (control, state))| Confounder { name, control, state }).collect()
}

fn learning_rate(view: &View<'_>) -> (String, State) {
    let rules: BTreeSet<&str> = view.cells().iter().map(|cell| cell.rate.as_str()).collect();
    let tuned: Vec<&Cell> = view.cells().iter().filter(|cell| cell.rate == "tuned").collect();
    let others: Vec<String> = rules.iter().filter(|rule| **rule != "tuned").map(|rule| rate_words(rule)).collect();
    let beside = if others.is_empty() { String::new() } else { format!(" Beside it: {}.", list(&others)) };
    if tuned.is_empty() {
        let batches: BTreeSet<u64> = view.cells().iter().map(|cell| cell.batch).collect();
        let state = if batches.len() > 1 { State::Open } else { State::Partly };
        return (format!("Not tuned for each batch; by rule: {}.", list(&others)), state);
    }
    let mut trials: BTreeMap<&str, usize> = BTreeMap::new();
    for trial in &view.tables.trials {
        *trials.entry(trial.cell.as_str()).or_default() += 1;
    }
    let tried = tuned.iter().map(|cell| trials.get(cell.cell.as_str()).copied().unwrap_or(0));
    let (least, most) = tried.fold((usize::MAX, 0), |(least, most), n| (least.min(n), most.max(n)));
    let extended = view.tables.trials.iter().filter(|trial| trial.extended).count();
    let budget = match (least == most, extended) {
        (true, _) => format!("{} each", count(most, "trial")),
        (false, extended) => format!("{least} to {most} trials each, {extended} of them to extend a grid"),
    };
    let inside = tuned.iter().filter(|cell| cell.interior == Some(true)).count();
    let all = inside == tuned.len();
    let at_end = tuned.iter().filter(|cell| cell.interior == Some(false)).map(|cell| cell.cell.clone());
    let at_end: Vec<String> = at_end.collect();
    let ends = if at_end.is_empty() { String::new() } else { format!(" At the grid's end: {}.", list(&at_end)) };
    let control = format!(
        "Tuned for each cell with {budget}; the optimum is interior in {inside} of {}.{ends}{beside}",
        count(tuned.len(), "cell")
    );
    (control, if all && least > 1 { State::Controlled } else { State::Partly })
}

fn budget(view: &View<'_>) -> (String, State) {
    let budgets: BTreeSet<&str> = view.cells().iter().map(|cell| cell.budget.as_str()).collect();
    let lost: Vec<String> =
        ["epochs", "steps", "loss"].into_iter().filter(|budget| !budgets.contains(budget)).map(words).collect();
    let had: Vec<String> = budgets.iter().map(|budget| words(budget)).collect();
    let control = format!("Compared at {}.", list(&had));
    match lost.is_empty() {
        true => (control, State::Controlled),
        false => (format!("{control} Not at {}.", list(&lost)), State::Partly),
    }
}

fn words(budget: &str) -> String {
    match budget {
        "loss" => "equal training loss".into(),
        other => format!("equal {other}"),
    }
}

fn statistics(view: &View<'_>) -> (String, State) {
    let sizes: BTreeSet<u64> = view.cells().iter().map(|cell| cell.micro_batch).collect();
    let network = view.tables.study.job_key(["model", "name"]).and_then(|name| name.as_str()).unwrap_or("the network");
    match sizes.iter().collect::<Vec<_>>().as_slice() {
        [size] => {
            let size = whole(**size);
            let control = format!(
                "Micro-batches of {size} in all cells: if {network} normalises by batch statistics, they are of {size} samples \
                 (ghost) at every batch size. Evaluations do not depend on the batch."
            );
            (control, State::Controlled)
        }
        [] => ("No cell.".into(), State::Unknown),
        [least, .., most] => {
            let control = format!(
                "Micro-batches from {} to {}: controlled only if {network} has no batch normalisation, whose statistics would \
                 differ between cells.",
                whole(**least),
                whole(**most)
            );
            (control, State::Partly)
        }
    }
}

fn seeds(view: &View<'_>) -> (String, State) {
    let seeds = view.seeds();
    let of = |cell: &Cell| view.runs(cell).map(|(seed, _)| seed).collect::<BTreeSet<_>>();
    let paired = view.cells().iter().all(|cell| of(cell) == seeds);
    let pairing = match paired {
        true => "the same in all cells, so that comparisons are paired",
        false => "not yet all of them in every cell; comparisons are over the seeds that both have",
    };
    let control = format!(
        "{}, each for initial weights, order and augmentation; {pairing}. Intervals: 95 %, bootstrap over seeds \
         (Hesterberg's expanded percentiles).",
        count(seeds.len(), "seed")
    );
    let state = match (seeds.len(), paired) {
        (0, _) => State::Unknown,
        (5.., true) => State::Controlled,
        (1, _) => State::Open,
        _ => State::Partly,
    };
    (control, state)
}

fn selection(view: &View<'_>) -> (String, State) {
    let tables = view.tables;
    if tables.absent.contains("evaluations.csv") {
        return (
            "tables/evaluations.csv is missing: whether test samples were seen before the end is not known.".into(),
            State::Unknown,
        );
    }
    let tests =
        |job: &str| tables.evaluations.get(job).map_or(0, |rows| rows.iter().filter(|row| row.split == "test").count());
    let most = tables.jobs.iter().map(|job| tests(&job.job)).max().unwrap_or(0);
    let tuned = match (tables.trials.is_empty(), &tables.tuned_by) {
        (true, _) => String::new(),
        (false, Some(by)) => format!(" Rates were chosen by {}.", by.replace('_', " ")),
        (false, None) => " By what rates were chosen is not known: study.toml can't be read.".into(),
    };
    let finals = match most {
        0 => "The test samples were not evaluated by any run of a cell".to_owned(),
        1 => "The test samples were evaluated once a run, at its end".to_owned(),
        most => format!("The test samples were evaluated up to {most} times a run"),
    };
    let (tuning, state) = tuning_looked(tables);
    let state = if most > 1 { State::Open } else { state };
    (format!("{}.{tuned} {finals}{tuning}.", held_out(view)), state)
}

/// How many samples the cells hold out.
fn held_out(view: &View<'_>) -> String {
    let sizes: Option<BTreeSet<u64>> = view.cells().iter().map(|cell| cell.validation_samples).collect();
    match sizes.map(|sizes| (sizes.first().copied().unwrap_or(0), sizes.last().copied().unwrap_or(0))) {
        None => "How many validation samples were held out is not told: study.json is of an earlier version".into(),
        Some((_, 0)) => "No validation samples were held out".into(),
        Some((least, most)) if least == most => {
            format!("{} validation samples were held out of the training set", whole(most))
        }
        Some((least, most)) => format!("{} to {} validation samples were held out, by cell", whole(least), whole(most)),
    }
}

/// Whether runs that tuned looked at the test samples, by what `tuning.csv` says of each.
fn tuning_looked(tables: &Tables) -> (String, State) {
    let looks: Option<Vec<u64>> = tables.trials.iter().map(|trial| trial.test_evaluations).collect();
    match looks {
        None => {
            let told =
                "; whether runs that tuned looked at them is not told: tables/tuning.csv is of an earlier version";
            (told.into(), State::Unknown)
        }
        Some(looks) if looks.is_empty() => (String::new(), State::Controlled),
        Some(looks) => match looks.iter().filter(|looks| **looks > 0).count() {
            0 => (format!("; none of the {} that tuned looked at them", count(looks.len(), "run")), State::Controlled),
            some => (format!("; {some} of the {} that tuned LOOKED at them", count(looks.len(), "run")), State::Open),
        },
    }
}

fn divergence(view: &View<'_>) -> (String, State) {
    let ended = view.cells().iter().flat_map(|cell| view.runs(cell)).count();
    let diverged = view.cells().iter().flat_map(|cell| view.runs(cell)).filter(|(_, job)| job.diverged).count();
    match diverged {
        0 => (format!("None of {} diverged.", count(ended, "run")), State::Controlled),
        some => {
            let control = format!(
                "{some} of {} diverged: kept as results and listed below, left out of means, so means of their cells are of \
                 the runs that survived.",
                count(ended, "run")
            );
            (control, State::Partly)
        }
    }
}

fn fingerprints(tables: &Tables) -> (String, State) {
    let kinds = kinds(tables);
    match kinds.len() {
        0 => ("No run has a fingerprint.".into(), State::Unknown),
        1 => (
            "One fingerprint: the weights are the same bits for any number of workers and threads.".into(),
            State::Controlled,
        ),
        several => {
            let runs: Vec<String> = kinds.values().map(|runs| whole(*runs as u64)).collect();
            (
                format!(
                    "MIXED: {several} fingerprints, of {} runs: they may differ by more than batch and seed.",
                    list(&runs)
                ),
                State::Open,
            )
        }
    }
}

/// Runs by fingerprint.
pub fn kinds(tables: &Tables) -> BTreeMap<u64, usize> {
    let mut kinds = BTreeMap::new();
    for fingerprint in tables.jobs.iter().filter_map(|job| job.fingerprint) {
        *kinds.entry(fingerprint).or_default() += 1;
    }
    kinds
}
