//! What is to be trained, by what is known so far: tuning first, then the runs of each cell.
//!
//! A pure function of the grid and of what runs came to: asked again after each run, it names more where a tuning grid
//! has to grow, and a cell's own runs once its learning rate is known.

mod known;
#[cfg(test)]
mod tests;
mod tune;

use std::collections::BTreeMap;

use lockstep_proto::job::{Job, Seed};

use crate::grid::{Cell, CellRate, Grid, key, tidy};
use crate::recipe::{Score, Tuning, is_rate};

pub use known::{Known, Outcome};
pub use tune::{Choice, Trial, Tuned, Worth};

/// Seeds of runs that tune begin here, so that no run of a cell has one of them.
const TUNING_SEEDS: u64 = 1_000_000;

/// A run that a study has.
#[derive(Clone, Debug)]
pub struct Task {
    /// See [`crate::grid::key`].
    pub key: String,
    /// What is trained.
    pub job: Job,
    /// The cell's place.
    pub cell: usize,
    /// η.
    pub learning_rate: f64,
    /// From 1.
    pub seed: u32,
    /// Whether it tunes the cell.
    pub tunes: bool,
}

/// What is known of a cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Absent until it is tuned.
    pub learning_rate: Option<f64>,
    /// Whether the best learning rate lies between others; absent where none was looked for, or not yet.
    pub interior: Option<bool>,
    /// What people should know of it.
    pub remark: String,
    /// Its tuning, learning rates ascending.
    pub trials: Vec<Trial>,
}

/// All that can be said now.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Every run that has a name by now: those that tune, then those of cells, each in the order of cells.
    pub tasks: Vec<Task>,
    /// By cell.
    pub cells: Vec<Standing>,
    /// Runs that will have a name later, as far as is known.
    pub later: usize,
}

impl Survey {
    /// Whether there is nothing left to train.
    pub fn is_whole(&self, known: &Known) -> bool {
        self.later == 0 && self.tasks.iter().all(|task| known.contains_key(&task.key))
    }
}

/// A grid, and the keys that were worked out: a key takes a hash of the whole job.
pub struct Planner {
    grid: Grid,
    keys: BTreeMap<(usize, bool, u64, u32), String>,
}

impl Planner {
    /// Nothing is known yet.
    pub fn new(grid: Grid) -> Self {
        Self { grid, keys: BTreeMap::new() }
    }

    /// What it plans.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// What there is to train, and what is known of each cell.
    pub fn survey(&mut self, known: &Known) -> Survey {
        let mut survey = Survey { cells: vec![Standing::default(); self.grid.cells.len()], ..Survey::default() };
        let recipe = self.grid.file.recipe.clone();
        if let Some(tuning) = &recipe.tuning {
            for place in 0..self.grid.cells.len() {
                if self.grid.cells[place].rate == CellRate::Tuned {
                    let (standing, tasks) = self.tune(place, tuning, known);
                    survey.cells[place] = standing;
                    survey.tasks.extend(tasks);
                }
            }
        }
        for place in 0..self.grid.cells.len() {
            let learning_rate = match self.grid.cells[place].rate {
                CellRate::Given(rate) => Some(rate),
                CellRate::Tuned => survey.cells[place].learning_rate,
                CellRate::Scaled { of, factor } => survey.cells[of].learning_rate.map(|rate| tidy(rate * factor)),
            };
            survey.cells[place].learning_rate = learning_rate;
            match learning_rate {
                Some(rate) => {
                    survey.tasks.extend((1..=recipe.study.seeds).map(|seed| self.task(place, rate, seed, false)));
                }
                None => survey.later += recipe.study.seeds as usize,
            }
        }
        survey
    }

    /// A cell's tuning as far as it is known, and all runs that it takes.
    fn tune(&mut self, place: usize, tuning: &Tuning, known: &Known) -> (Standing, Vec<Task>) {
        let mut tasks: BTreeMap<u64, Vec<Task>> = BTreeMap::new();
        let factors: Vec<f64> = self.grid.factors(place).collect();
        let usable = |rate: f64| is_rate(rate) && factors.iter().all(|factor| is_rate(tidy(rate * factor)));
        let tuned = tune::tune(tuning, usable, |rate| {
            let of_rate: Vec<Task> = (1..=tuning.seeds).map(|seed| self.task(place, rate, seed, true)).collect();
            let worths: Option<Vec<Worth>> =
                of_rate.iter().map(|task| Some(worth(known.get(&task.key)?, tuning.by))).collect();
            tasks.insert(rate.to_bits(), of_rate);
            Worth::mean(&worths?)
        });
        let remark = tuned.remark();
        let (learning_rate, interior) = match tuned.choice {
            Some(Choice { learning_rate, interior }) => (Some(learning_rate), Some(interior)),
            None => (None, None),
        };
        let standing = Standing { learning_rate, interior, remark, trials: tuned.trials };
        // Bits of positive numbers ascend as the numbers do.
        (standing, tasks.into_values().flatten().collect())
    }

    /// A run of a cell. Seed s is the same three seeds in all cells, so that cells are compared by pairs.
    pub fn task(&mut self, place: usize, learning_rate: f64, seed: u32, tunes: bool) -> Task {
        let cell = &self.grid.cells[place];
        let mut job = template(cell, tunes).clone();
        job.optimizer.learning_rate = learning_rate;
        job.seed = seeds(seed, tunes);
        let index = (place, tunes, learning_rate.to_bits(), seed);
        let key = self.keys.entry(index).or_insert_with(|| key(&job, &cell.facts.dataset)).clone();
        Task { key, job, cell: place, learning_rate, seed, tunes }
    }
}

fn template(cell: &Cell, tunes: bool) -> &Job {
    match &cell.tuning {
        Some(tuning) if tunes => tuning,
        _ => &cell.job,
    }
}

/// Three seeds that no other number gives.
fn seeds(seed: u32, tunes: bool) -> Seed {
    let first = 3 * u64::from(seed) + if tunes { TUNING_SEEDS } else { 0 };
    Seed { init: first, order: first + 1, augment: first + 2 }
}

/// How good a run was for its tuning.
pub(crate) fn worth(outcome: &Outcome, by: Score) -> Worth {
    if outcome.diverged() {
        return Worth::Diverged;
    }
    let measure = match by {
        Score::ValidationLoss => outcome.validation_loss,
        Score::ValidationError => outcome.validation_error,
        Score::StepsToTarget => match outcome.steps_to_target {
            Some(steps) => Some(steps as f64),
            None => return outcome.validation_loss.map_or(Worth::Diverged, Worth::Short),
        },
    };
    // A run that ends without a number that can be told has lost it on the way.
    measure.filter(|measure| measure.is_finite()).map_or(Worth::Diverged, Worth::Reached)
}
