//! The grid: arms × batches × rules × budgets as cells, each with the job that its runs begin with.

mod job;
mod key;
#[cfg(test)]
pub(crate) mod tests;

use lockstep_proto::job::{Cluster, Job};

use crate::recipe::{BudgetKind, RecipeError, RecipeFile, Rule, is_rate};

pub use key::key;

/// Most runs of a study, as far as they are known at its start.
const MOST_RUNS: usize = 100_000;

/// What a job's data are: what the grid has to know of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFacts {
    /// The dataset's id.
    pub dataset: String,
    /// Samples that are trained on.
    pub train_samples: u64,
    /// Samples that are held out.
    pub validation_samples: u64,
}

/// Who can look at data and networks: a job's initial weights are sealed, and all is checked that a run of it would fail
/// with at its start.
pub type Look<'a> = dyn FnMut(&mut Job) -> Result<DataFacts, String> + 'a;

/// What is said of all jobs beside the recipe.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Variables, as [`lockstep_proto::job::environment`] gives them.
    pub environment: Vec<(String, String)>,
    /// `key=value`.
    pub overrides: Vec<String>,
}

/// A cell: an arm at a batch, a rule and a budget, run with each seed.
#[derive(Clone, Debug)]
pub struct Cell {
    /// `c01`, in the order of the recipe.
    pub id: String,
    /// The arm's name.
    pub arm: String,
    /// B.
    pub batch: u32,
    /// Where its learning rate comes from.
    pub rule: Rule,
    /// The same, in numbers.
    pub rate: CellRate,
    /// How long it goes.
    pub budget: BudgetKind,
    /// Its runs, but for learning rate and seeds.
    pub job: Job,
    /// Runs that tune it, but for learning rate and seeds; none where it isn't tuned.
    pub tuning: Option<Job>,
    /// Of its data.
    pub facts: DataFacts,
}

/// A cell's learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellRate {
    /// Known from the start.
    Given(f64),
    /// The best of a grid.
    Tuned,
    /// That of another cell, by its place, times a factor.
    Scaled {
        /// Which cell.
        of: usize,
        /// Times this.
        factor: f64,
    },
}

/// A recipe's cells.
#[derive(Clone, Debug)]
pub struct Grid {
    /// What it was made of.
    pub file: RecipeFile,
    /// The base job with what is set for all.
    pub base: Job,
    /// In the order of the recipe.
    pub cells: Vec<Cell>,
}

impl Grid {
    /// Makes and checks all cells.
    ///
    /// # Errors
    /// The first that no run can be of: one line.
    pub fn new(file: RecipeFile, settings: &Settings, look: &mut Look<'_>) -> Result<Self, RecipeError> {
        let jobs = job::Jobs::new(&file, settings)?;
        let base = jobs.base()?;
        let mut cells = Vec::new();
        for arm in &file.recipe.arm {
            for (&batch, &rule, &budget) in product(&arm.batch.0, &arm.rate.0, arm.budgets()) {
                let place = job::Place { arm, batch, budget };
                let (job, facts) = jobs.of_cell(place, look)?;
                let tuning = match rule {
                    Rule::Tuned => Some(jobs.of_tuning(place, &job, &facts, look)?),
                    _ => None,
                };
                for rate in rates(&file, rule, batch) {
                    let (arm, job, facts) = (arm.name.clone(), job.clone(), facts.clone());
                    let tuning = tuning.clone();
                    cells.push(Cell { id: String::new(), arm, batch, rule, rate, budget, job, tuning, facts });
                }
            }
        }
        let digits = cells.len().to_string().len().max(2);
        cells.iter_mut().enumerate().for_each(|(place, cell)| cell.id = format!("c{:0digits$}", place + 1));
        let grid = Self { base, cells: tie(&file, cells)?, file };
        grid.rates_are_rates()?;
        let runs = grid.runs_known();
        if runs > MOST_RUNS {
            return Err(grid.file.invalid(format!("makes {runs} runs: {MOST_RUNS} are the most")));
        }
        grid.on_one_machine()?;
        Ok(grid)
    }

    /// Runs that there are at least: those of all cells, and of the tuning grids as they begin.
    pub fn runs_known(&self) -> usize {
        let tuned = self.cells.iter().filter(|cell| cell.tuning.is_some()).count();
        let trials = self.file.recipe.tuning.as_ref().map_or(0, |t| t.learning_rates.len() * t.seeds as usize);
        self.cells.len() * self.file.recipe.study.seeds as usize + tuned * trials
    }

    /// Where all its runs run.
    pub fn cluster(&self) -> &Cluster {
        self.cells.first().map_or(&self.base.cluster, |cell| &cell.job.cluster)
    }

    /// What the learning rate of a cell is multiplied by to give those of others.
    pub fn factors(&self, place: usize) -> impl Iterator<Item = f64> {
        self.cells.iter().filter_map(move |cell| match cell.rate {
            CellRate::Scaled { of, factor } if of == place => Some(factor),
            CellRate::Scaled { .. } | CellRate::Given(_) | CellRate::Tuned => None,
        })
    }

    /// Learning rates that follow from others are used as 32-bit numbers too.
    fn rates_are_rates(&self) -> Result<(), RecipeError> {
        let tuned = self.file.recipe.tuning.as_ref().map_or(&[][..], |tuning| &tuning.learning_rates);
        for cell in &self.cells {
            let rates: Vec<f64> = match cell.rate {
                CellRate::Given(rate) => vec![rate],
                CellRate::Tuned => tuned.to_vec(),
                CellRate::Scaled { factor, .. } => tuned.iter().map(|rate| tidy(rate * factor)).collect(),
            };
            if let Some(rate) = rates.into_iter().find(|rate| !is_rate(*rate)) {
                return Err(self.file.invalid(format!(
                    "arm {:?}, batch {}: the rate {:?} makes its learning rate {rate:e}, which must be above 0 and finite \
                     as a 32-bit number: change [rate] or [tuning]",
                    cell.arm,
                    cell.batch,
                    cell.rule.as_str()
                )));
            }
        }
        Ok(())
    }

    /// All runs are started alike.
    fn on_one_machine(&self) -> Result<(), RecipeError> {
        match self.cells.iter().find(|cell| cell.job.cluster != *self.cluster()) {
            Some(cell) => {
                let problem = "keys of `cluster` must be the same for all: set them in [set.cluster]";
                Err(self.file.invalid(format!("arm {:?}: {problem}", cell.arm)))
            }
            None => Ok(()),
        }
    }
}

/// Every combination, the last list fastest.
fn product<'a, A, B, C>(a: &'a [A], b: &'a [B], c: &'a [C]) -> impl Iterator<Item = (&'a A, &'a B, &'a C)> {
    a.iter().flat_map(move |a| b.iter().flat_map(move |b| c.iter().map(move |c| (a, b, c))))
}

/// One for each value of the rule. What depends on another cell is put in by [`tie`].
fn rates(file: &RecipeFile, rule: Rule, batch: u32) -> Vec<CellRate> {
    let rate = &file.recipe.rate;
    match rule {
        Rule::Tuned => vec![CellRate::Tuned],
        Rule::Listed => rate.list.iter().map(|rate| CellRate::Given(*rate)).collect(),
        Rule::Ratio => rate.ratios.iter().map(|ratio| CellRate::Given(tidy(ratio * f64::from(batch)))).collect(),
        Rule::Fixed | Rule::Linear | Rule::Sqrt => {
            let ratio = rate.base_batch.map_or(1.0, |base| f64::from(batch) / f64::from(base));
            let factor = rule.factor(ratio).unwrap_or(1.0);
            vec![match rate.learning_rate {
                Some(rate) => CellRate::Given(tidy(rate * factor)),
                None => CellRate::Scaled { of: usize::MAX, factor },
            }]
        }
    }
}

/// Cells whose learning rate is another's: the tuned one at the base batch with the same budget, of the same arm if it
/// has one, else of the first that has.
fn tie(file: &RecipeFile, mut cells: Vec<Cell>) -> Result<Vec<Cell>, RecipeError> {
    let base = file.recipe.rate.base_batch.unwrap_or_default();
    for place in 0..cells.len() {
        let CellRate::Scaled { factor, .. } = cells[place].rate else { continue };
        let cell = &cells[place];
        let fits = |other: &&Cell| other.rule == Rule::Tuned && other.batch == base && other.budget == cell.budget;
        let same_arm = cells.iter().find(|other| fits(other) && other.arm == cell.arm);
        let Some(source) = same_arm.or_else(|| cells.iter().find(fits)) else {
            return Err(file.invalid(format!(
                "arm {:?}: its rate {:?} needs `rate.learning_rate`, or an arm that is \"tuned\" at batch {base} with the \
                 budget {:?}: set or add one",
                cell.arm,
                cell.rule.as_str(),
                cell.budget.as_str()
            )));
        };
        let of = cells.iter().position(|other| other.id == source.id).unwrap_or_default();
        cells[place].rate = CellRate::Scaled { of, factor };
    }
    Ok(cells)
}

/// Twelve digits: products such as 3 × 0.1 look as people write them.
pub(crate) fn tidy(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}
