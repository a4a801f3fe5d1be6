//! A cell's job: base, what is set for all, the arm, and what the grid says, in layers.

use lockstep_proto::job::{Course, Job, Layers, OnNonfinite, RateScaling};
use toml::{Table, Value};

use super::{DataFacts, Look, Settings};
use crate::recipe::{Arm, BudgetKind, RecipeError, RecipeFile, Score};

/// Keys that the grid says.
const OF_THE_GRID: [(&str, &str); 4] = [
    ("batch.size", "the arms' `batch` says it"),
    ("optimizer.learning_rate", "the arms' `rate` says it"),
    ("optimizer.scaling", "the arms' `rate` says how learning rates grow"),
    ("seed", "`study.seeds` says how many there are"),
];
/// Keys that count steps, which `[samples]` may say in samples.
const OF_STEPS: [&str; 5] =
    ["evaluate.every_steps", "metrics.every", "schedule.warmup_steps", "schedule.max_steps", "checkpoint.every_steps"];

/// Where in the grid a job is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub arm: &'a Arm,
    pub batch: u32,
    pub budget: BudgetKind,
}

/// Makes jobs.
pub(super) struct Jobs<'a> {
    file: &'a RecipeFile,
    overrides: &'a [String],
    /// Whether `overrides` say the micro-batch.
    micro_batch_is_said: bool,
    /// Base, the study's own defaults, environment, `[set]`.
    under: Layers,
}

impl<'a> Jobs<'a> {
    pub(super) fn new(file: &'a RecipeFile, settings: &'a Settings) -> Result<Self, RecipeError> {
        let overrides = &settings.overrides;
        let budgets: Vec<BudgetKind> = file.recipe.arm.iter().flat_map(Arm::budgets).copied().collect();
        check_samples(file, &budgets)?;
        let without_effect = |table: &Table| without_effect(file, table, &budgets);
        without_effect(&file.recipe.set).map_or(Ok(()), |problem| Err(file.invalid(format!("[set]: {problem}"))))?;
        let said = Layers::of_defaults().environment(settings.environment.iter().cloned())?.overrides(overrides)?;
        for (origin, table) in said.said() {
            if let Some(problem) = without_effect(table) {
                return Err(RecipeError::Invalid { origin: origin.to_owned(), problem });
            }
        }
        let overridden = Layers::of_defaults().overrides(overrides)?;
        let micro_batch_is_said = overridden.said().any(|(_, table)| micro_batch(table).is_some());
        let under = Layers::of_file(&file.folder.join(&file.recipe.study.base))?
            .table("the study's own keys", own(), &file.folder)?
            .environment(settings.environment.iter().cloned())?
            .table(&format!("{}: [set]", file.origin), file.recipe.set.clone(), &file.folder)?;
        Ok(Self { file, overrides, micro_batch_is_said, under })
    }

    /// What all jobs begin with.
    pub(super) fn base(&self) -> Result<Job, RecipeError> {
        let mut layers = self.under.clone();
        if let Some(micro_batch) = micro_batch(&self.file.recipe.set) {
            // Any batch that goes with it: the grid has its own.
            let mut table = Table::new();
            put(&mut table, "batch.size", Value::Integer(micro_batch));
            layers = layers.table(&self.file.origin, table, &self.file.folder)?;
        }
        let job = layers.overrides(self.overrides)?.job()?;
        let problem = if job.optimizer.scaling != RateScaling::None {
            "`optimizer.scaling` must be \"none\": the arms' `rate` says how learning rates grow"
        } else if job.schedule.max_minutes > 0.0 {
            "`schedule.max_minutes` must be 0: what a study comes to must not depend on how fast a machine is"
        } else if job.schedule.learning_rate == Course::Table {
            "`schedule.learning_rate` must not be \"table\": its rates would stand in for those of the grid"
        } else if job.schedule.on_nonfinite != OnNonfinite::Stop {
            "`schedule.on_nonfinite` must be \"stop\": that is how a study knows what has diverged"
        } else {
            return Ok(job);
        };
        Err(self.file.invalid(format!("base job: {problem}")))
    }

    /// The job of a cell, and what its data are.
    pub(super) fn of_cell(&self, place: Place<'_>, look: &mut Look<'_>) -> Result<(Job, DataFacts), RecipeError> {
        let (file, Place { arm, batch, budget }) = (self.file, place);
        let of_arm = |problem: String| file.invalid(format!("arm {:?}, batch {batch}: {problem}", arm.name));
        if let Some(problem) = without_effect(file, &arm.set, arm.budgets()) {
            return Err(of_arm(format!("`set`: {problem}")));
        }
        let origin = format!("{}: arm {:?}: set", file.origin, arm.name);
        let layers = self.under.clone().table(&origin, arm.set.clone(), &file.folder)?.overrides(self.overrides)?;
        let grid = format!("{}: arm {:?}, batch {batch}", file.origin, arm.name);
        let layers = layers.table(&grid, self.of_batch(place)?, &file.folder)?;
        let mut job = layers.job()?;
        check_lanes(arm, &job).map_err(of_arm)?;
        let facts = look(&mut job).map_err(of_arm)?;
        if u64::from(batch) > facts.train_samples {
            return Err(of_arm(format!(
                "a batch of {batch} is larger than the {} training samples: choose smaller ones",
                facts.train_samples
            )));
        }
        let budget = match budget {
            BudgetKind::Epochs => return Ok((job, facts)),
            BudgetKind::Steps => self.of_steps(&job, &facts),
            BudgetKind::Loss => self.of_loss(),
        };
        let mut job = layers.table(&grid, budget, &file.folder)?.job()?;
        let facts = look(&mut job).map_err(of_arm)?;
        Ok((job, facts))
    }

    /// The job that tunes a cell: it measures nothing but its score, and does not look at test samples.
    pub(super) fn of_tuning(
        &self,
        place: Place<'_>,
        of_cell: &Job,
        facts: &DataFacts,
        look: &mut Look<'_>,
    ) -> Result<Job, RecipeError> {
        let of_arm =
            |problem: &str| self.file.invalid(format!("arm {:?}, batch {}: {problem}", place.arm.name, place.batch));
        if facts.validation_samples == 0 {
            return Err(of_arm("learning rates are tuned on held-out samples: set `data.validation` in [set.data]"));
        }
        let schedule = &of_cell.schedule;
        let aims = schedule.target_accuracy > 0.0 || schedule.target_loss > 0.0;
        let by = self.file.recipe.tuning.as_ref().map(|tuning| tuning.by);
        if by == Some(Score::StepsToTarget) && !aims {
            return Err(of_arm(
                "`tuning.by` = \"steps_to_target\" needs a target: set `schedule.target_accuracy` or \
                 `schedule.target_loss` in [set.schedule]",
            ));
        }
        let mut job = of_cell.clone();
        job.probe.clear();
        job.evaluate.test = false;
        if !aims && schedule.patience == 0 {
            // Once, where the job ends: behind its last epoch or step, or behind any epoch that may be its last.
            let any = schedule.target_train_loss > 0.0;
            job.evaluate.every_epochs = if any { 1 } else { schedule.epochs };
            job.evaluate.every_steps = schedule.max_steps;
        }
        look(&mut job).map_err(|problem| of_arm(&problem))?;
        Ok(job)
    }

    /// Batch, micro-batch, and what is said in samples.
    fn of_batch(&self, place: Place<'_>) -> Result<Table, RecipeError> {
        let Place { arm, batch, .. } = place;
        let mut table = Table::new();
        put(&mut table, "batch.size", Value::Integer(batch.into()));
        if !self.micro_batch_is_said {
            let (said, most) = match micro_batch(&arm.set) {
                Some(of_arm) => (of_arm, batch),
                None => (self.base()?.batch.micro_batch.into(), batch / arm.least_lanes.unwrap_or(1)),
            };
            put(&mut table, "batch.micro_batch", Value::Integer(said.min(most.into())));
        }
        for (key, samples) in flat(&self.file.recipe.samples) {
            let steps = samples.as_integer().unwrap_or_default() / i64::from(batch);
            put(&mut table, &key, Value::Integer(steps.max(1)));
        }
        Ok(table)
    }

    /// So many steps, and as many epochs as they need.
    fn of_steps(&self, job: &Job, facts: &DataFacts) -> Table {
        let steps = self.file.recipe.budget.steps.unwrap_or(1);
        let largest = job.batch.sizes().map(|(_, size)| u64::from(size)).max().unwrap_or(1);
        let steps_an_epoch = (facts.train_samples / largest).max(1);
        let epochs = steps.div_ceil(steps_an_epoch);
        let mut table = Table::new();
        put(&mut table, "schedule.max_steps", integer(steps));
        put(&mut table, "schedule.epochs", integer(epochs));
        table
    }

    /// Until an epoch's training loss.
    fn of_loss(&self) -> Table {
        let budget = &self.file.recipe.budget;
        let mut table = Table::new();
        put(&mut table, "schedule.target_train_loss", Value::Float(budget.loss.unwrap_or_default()));
        if let Some(epochs) = budget.most_epochs {
            put(&mut table, "schedule.epochs", Value::Integer(epochs.into()));
        }
        table
    }
}

/// What a study's jobs have where nobody says otherwise: one worker of one thread each, since many run at a time, and no
/// checkpoints but where they are stopped, since most are short.
fn own() -> Table {
    let mut table = Table::new();
    put(&mut table, "cluster.workers", Value::Integer(1));
    put(&mut table, "cluster.threads", Value::Integer(1));
    put(&mut table, "checkpoint.every_epochs", Value::Integer(0));
    table
}

/// `batch.micro_batch` of a part of a job.
fn micro_batch(part: &Table) -> Option<i64> {
    part.get("batch")?.get("micro_batch")?.as_integer()
}

/// A micro-batch that an arm or the command says is taken as it is: the arm's lanes may be too few with it.
fn check_lanes(arm: &Arm, job: &Job) -> Result<(), String> {
    let (batch, least) = (&job.batch, arm.least_lanes.unwrap_or(1));
    if batch.size / batch.micro_batch.max(1) >= least {
        return Ok(());
    }
    Err(format!(
        "`batch.micro_batch` = {} makes fewer lanes than `least_lanes` = {least}: leave one of them out, or set \
         `batch.micro_batch` to {} at most",
        batch.micro_batch,
        batch.size / least
    ))
}

/// `[samples]` has keys that count steps, with so many samples, where they do something.
fn check_samples(file: &RecipeFile, budgets: &[BudgetKind]) -> Result<(), RecipeError> {
    for (key, samples) in flat(&file.recipe.samples) {
        let problem = if !matches!(samples, Value::Integer(1..)) {
            format!("`{key}` must be an integer above 0: so many samples")
        } else if !OF_STEPS.contains(&key.as_str()) {
            format!("`{key}` does not count steps: choose {}", OF_STEPS.join(", "))
        } else if let Some(problem) = of_budgets(file, &key, budgets) {
            problem
        } else {
            continue;
        };
        return Err(file.invalid(format!("[samples]: {problem}")));
    }
    Ok(())
}

/// Why a key of this table does nothing in jobs of these budgets: what the grid says lies above all else.
fn without_effect(file: &RecipeFile, table: &Table, budgets: &[BudgetKind]) -> Option<String> {
    let in_samples: Vec<String> = flat(&file.recipe.samples).into_iter().map(|(key, _)| key).collect();
    let of_samples = |key: &str| {
        let is_said = in_samples.iter().any(|said| said == key);
        is_said.then(|| format!("`{key}` has no effect, since [samples] says it: leave one of them out"))
    };
    flat(table)
        .iter()
        .find_map(|(key, _)| of_the_grid(key).or_else(|| of_samples(key)).or_else(|| of_budgets(file, key, budgets)))
}

/// Why this key does nothing, if each of the budgets says it.
fn of_budgets(file: &RecipeFile, key: &str, budgets: &[BudgetKind]) -> Option<String> {
    let says = |budget: &&BudgetKind| match budget {
        BudgetKind::Epochs => false,
        BudgetKind::Steps => matches!(key, "schedule.max_steps" | "schedule.epochs"),
        BudgetKind::Loss => match key {
            "schedule.epochs" => file.recipe.budget.most_epochs.is_some(),
            key => key == "schedule.target_train_loss",
        },
    };
    let by = budgets.first().filter(|_| budgets.iter().all(|budget| says(&budget)))?;
    Some(format!("`{key}` has no effect, since the budget {:?} says it: leave it out", by.as_str()))
}

/// Why this key can't be set, if the grid says it.
fn of_the_grid(key: &str) -> Option<String> {
    let is = |own: &str| key == own || key.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'));
    let (own, why) = OF_THE_GRID.iter().find(|(own, _)| is(own))?;
    Some(format!("`{own}` is the grid's: leave it out, {why}"))
}

/// Keys of tables in tables, as `table.key`.
fn flat(table: &Table) -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                keys.extend(flat(inner).into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => keys.push((name.clone(), value.clone())),
        }
    }
    keys
}

/// Sets `table.key`.
fn put(table: &mut Table, key: &str, value: Value) {
    let (name, key) = key.split_once('.').unwrap_or((key, ""));
    let inner = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        inner.insert(key.to_owned(), value);
    }
}

/// As TOML has them.
fn integer(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}
