//! The recipe's tables and keys, with their defaults.

use serde::{Deserialize, Deserializer};
use toml::Table;

use super::OneOrMany;

/// Every table and key; [`Recipe::set`], [`Recipe::samples`] and [`Arm::set`] hold a job's keys.
pub(super) const KEYS: [&str; 30] = [
    "study",
    "study.title",
    "study.question",
    "study.prediction",
    "study.refuted_by",
    "study.base",
    "study.seeds",
    "study.figures",
    "set",
    "samples",
    "rate",
    "rate.learning_rate",
    "rate.base_batch",
    "rate.list",
    "rate.ratios",
    "tuning",
    "tuning.learning_rates",
    "tuning.seeds",
    "tuning.extend",
    "tuning.by",
    "arm",
    "arm.name",
    "arm.batch",
    "arm.rate",
    "arm.budget",
    "arm.set",
    "budget",
    "budget.most_epochs",
    "budget.steps",
    "budget.loss",
];

/// A study.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// What it asks, of which job.
    pub study: Study,
    /// A part of a job, over the base, for all jobs.
    pub set: Table,
    /// Keys whose values are samples: they are divided by the batch.
    pub samples: Table,
    /// Learning rates by rule.
    pub rate: Rate,
    /// How learning rates are tuned; absent where none is.
    #[serde(deserialize_with = "some")]
    pub tuning: Option<Tuning>,
    /// Variants.
    pub arm: Vec<Arm>,
    /// How long jobs go.
    pub budget: Budget,
}

/// A value that may be left out, but says something where it is there.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// `[study]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Study {
    /// Its title.
    pub title: String,
    /// What it asks.
    pub question: String,
    /// What is expected.
    pub prediction: String,
    /// What would show that to be wrong.
    pub refuted_by: String,
    /// The job file that all jobs begin with, relative to the recipe.
    pub base: String,
    /// Runs of each cell.
    pub seeds: u32,
    /// Figures of the report, in order; none for all that the data allow.
    pub figures: Vec<String>,
}

impl Default for Study {
    fn default() -> Self {
        Self {
            title: String::new(),
            question: String::new(),
            prediction: String::new(),
            refuted_by: String::new(),
            base: String::new(),
            seeds: 5,
            figures: Vec::new(),
        }
    }
}

/// `[rate]`: learning rates by rule.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// η at the base batch, for `fixed`, `linear` and `sqrt`; absent where an arm that is tuned there gives it.
    #[serde(deserialize_with = "some")]
    pub learning_rate: Option<f64>,
    /// The batch that it is for.
    #[serde(deserialize_with = "some")]
    pub base_batch: Option<u32>,
    /// `listed`: each η.
    pub list: Vec<f64>,
    /// `ratio`: each η/B.
    pub ratios: Vec<f64>,
}

/// `[tuning]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// Learning rates, each a factor above the one before.
    pub learning_rates: Vec<f64>,
    /// Runs of each.
    pub seeds: u32,
    /// How often the grid may grow to a side where the best is its last.
    pub extend: u32,
    /// What makes a learning rate better.
    pub by: Score,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { learning_rates: Vec::new(), seeds: 1, extend: 3, by: Score::ValidationLoss }
    }
}

/// What makes a learning rate better: less of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Loss on held-out samples, at the end.
    ValidationLoss,
    /// Fraction of held-out samples that is wrong, at the end.
    ValidationError,
    /// Steps until the job's target.
    StepsToTarget,
}

/// `[[arm]]`: a variant, at each of its batches, rules and budgets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Arm {
    /// What it is called.
    pub name: String,
    /// Batch sizes.
    pub batch: OneOrMany<u32>,
    /// Rules for the learning rate.
    pub rate: OneOrMany<Rule>,
    /// How long jobs go; `epochs` without it.
    pub budget: OneOrMany<BudgetKind>,
    /// Lanes that every batch has at least, by smaller micro-batches; 1 without it.
    #[serde(deserialize_with = "some")]
    pub least_lanes: Option<u32>,
    /// A part of a job, over all others.
    pub set: Table,
}

impl Arm {
    /// How long jobs go, in the order of the recipe.
    pub fn budgets(&self) -> &[BudgetKind] {
        if self.budget.0.is_empty() { &[BudgetKind::Epochs] } else { &self.budget.0 }
    }
}

/// Where a learning rate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The best of a grid.
    Tuned,
    /// The same for all batches.
    Fixed,
    /// It grows as the batch.
    Linear,
    /// It grows as the batch's root.
    Sqrt,
    /// Each of a list.
    Listed,
    /// The batch times each of a list.
    Ratio,
}

impl Rule {
    /// As recipes and tables have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tuned => "tuned",
            Self::Fixed => "fixed",
            Self::Linear => "linear",
            Self::Sqrt => "sqrt",
            Self::Listed => "listed",
            Self::Ratio => "ratio",
        }
    }

    /// What the learning rate at the base batch is multiplied by, at a batch `ratio` times as large; none where the
    /// rule has no base batch.
    pub fn factor(self, ratio: f64) -> Option<f64> {
        match self {
            Self::Fixed => Some(1.0),
            Self::Linear => Some(ratio),
            Self::Sqrt => Some(ratio.sqrt()),
            Self::Tuned | Self::Listed | Self::Ratio => None,
        }
    }
}

/// How long jobs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetKind {
    /// The same number of epochs.
    Epochs,
    /// The same number of steps.
    Steps,
    /// Until the same training loss.
    Loss,
}

impl BudgetKind {
    /// As recipes and tables have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epochs => "epochs",
            Self::Steps => "steps",
            Self::Loss => "loss",
        }
    }
}

/// `[budget]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// `loss`: most epochs; the base job's without it.
    #[serde(deserialize_with = "some")]
    pub most_epochs: Option<u32>,
    /// `steps`: how many.
    #[serde(deserialize_with = "some")]
    pub steps: Option<u64>,
    /// `loss`: an epoch's mean training loss at or below this ends the job.
    #[serde(deserialize_with = "some")]
    pub loss: Option<f64>,
}
