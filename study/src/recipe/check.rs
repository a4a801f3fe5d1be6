//! What no study can have, as far as the recipe alone tells: the first is refused in a line that says what to do.

use std::collections::BTreeSet;

use lockstep_proto::job::nearest_word;

use crate::report::figure_names;

use super::spec::{Arm, BudgetKind, Recipe, Rule, Tuning};

const MAX_SEEDS: u32 = 1000;
const MAX_ARMS: usize = 64;
const MAX_LIST: usize = 64;
const MAX_EXTEND: u32 = 16;
const MAX_NAME: usize = 64;
const MAX_BATCH: u32 = 1 << 20;
/// How much neighbouring factors of a tuning grid may differ: grids are often written as 0.1, 0.2, 0.5.
const UNEVEN: f64 = 1.5;

/// Checks all that needs no job.
pub(super) fn check(recipe: &Recipe) -> Result<(), String> {
    if recipe.study.base.is_empty() {
        return Err("`study.base` is not set: name the job file that all jobs begin with".into());
    }
    count("study.seeds", recipe.study.seeds, MAX_SEEDS)?;
    figures(&recipe.study.figures)?;
    arms(&recipe.arm)?;
    rate(recipe)?;
    tuning(recipe)?;
    budget(recipe)
}

/// They are asked for by name, each once.
fn figures(wanted: &[String]) -> Result<(), String> {
    let known: Vec<&str> = figure_names().collect();
    for (place, name) in wanted.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let shown: String = name.chars().take(MAX_NAME).collect();
            let nearest =
                nearest_word(name, &known).map_or_else(String::new, |word| format!(" (did you mean {word}?)"));
            let known = known.join(", ");
            return Err(format!("`study.figures` has {shown:?}, which is no figure: choose {known}{nearest}"));
        }
        if wanted[..place].contains(name) {
            return Err(format!("`study.figures` has {name:?} twice: leave one out"));
        }
    }
    Ok(())
}

fn arms(arms: &[Arm]) -> Result<(), String> {
    if arms.is_empty() {
        return Err("has no [[arm]]: add one with `name` and `batch`".into());
    }
    if arms.len() > MAX_ARMS {
        return Err(format!("has {} tables [[arm]]: {MAX_ARMS} are the most", arms.len()));
    }
    let mut names = BTreeSet::new();
    for arm in arms {
        if arm.name.trim().is_empty() || arm.name.chars().count() > MAX_NAME || arm.name.contains(char::is_control) {
            let shown: String = arm.name.chars().take(MAX_NAME).collect();
            return Err(format!("an arm's `name` has 1 to {MAX_NAME} characters on one line, not {shown:?}"));
        }
        if !names.insert(&arm.name) {
            return Err(format!("two arms are called {:?}: give one another `name`", arm.name));
        }
        let of_arm = |problem: String| format!("arm {:?}: {problem}", arm.name);
        list("batch", &arm.batch.0).map_err(of_arm)?;
        list("rate", &arm.rate.0).map_err(of_arm)?;
        if !arm.budget.0.is_empty() {
            list("budget", &arm.budget.0).map_err(of_arm)?;
        }
        if let Some(batch) = arm.batch.0.iter().find(|batch| !(1..=MAX_BATCH).contains(*batch)) {
            return Err(of_arm(format!("`batch` = {batch}: must be 1 to {MAX_BATCH}")));
        }
        let least_lanes = arm.least_lanes.unwrap_or(1);
        let cut = |batch: &&u32| least_lanes == 0 || !batch.is_multiple_of(least_lanes);
        if let Some(batch) = arm.batch.0.iter().find(cut) {
            return Err(of_arm(format!(
                "`least_lanes` = {least_lanes}: must be a divisor of each batch, such as {batch}"
            )));
        }
    }
    Ok(())
}

/// Something, not too much of it, and nothing twice.
fn list<T: PartialEq + std::fmt::Debug>(key: &str, values: &[T]) -> Result<(), String> {
    if values.is_empty() || values.len() > MAX_LIST {
        return Err(format!("`{key}` has {} values: 1 to {MAX_LIST} are wanted", values.len()));
    }
    match values.iter().enumerate().find(|(place, value)| values[..*place].contains(value)) {
        Some((_, twice)) => Err(format!("`{key}` has {twice:?} twice: leave one out")),
        None => Ok(()),
    }
}

fn rate(recipe: &Recipe) -> Result<(), String> {
    let rate = &recipe.rate;
    let used = |rule: Rule| recipe.arm.iter().any(|arm| arm.rate.0.contains(&rule));
    let scales = [Rule::Fixed, Rule::Linear, Rule::Sqrt].into_iter().any(used);
    for (key, set, used, rules) in [
        ("rate.learning_rate", rate.learning_rate.is_some(), scales, "fixed, linear or sqrt"),
        ("rate.base_batch", rate.base_batch.is_some(), scales, "fixed, linear or sqrt"),
        ("rate.list", !rate.list.is_empty(), used(Rule::Listed), "listed"),
        ("rate.ratios", !rate.ratios.is_empty(), used(Rule::Ratio), "ratio"),
    ] {
        if set && !used {
            return Err(format!("`{key}` is set, but no arm has the rate {rules}: leave it out"));
        }
    }
    let missing = |key: &str, rule: &str| Err(format!("the rate {rule} of an arm needs `{key}`: set it"));
    if used(Rule::Listed) && rate.list.is_empty() {
        return missing("rate.list", "\"listed\"");
    }
    if used(Rule::Ratio) && rate.ratios.is_empty() {
        return missing("rate.ratios", "\"ratio\"");
    }
    let needs_base = used(Rule::Linear) || used(Rule::Sqrt) || (scales && rate.learning_rate.is_none());
    if needs_base && rate.base_batch.is_none() {
        return missing("rate.base_batch", "\"fixed\", \"linear\" or \"sqrt\"");
    }
    rate.learning_rate.iter().try_for_each(|rate| positive("rate.learning_rate", *rate))?;
    if rate.base_batch == Some(0) {
        return Err("`rate.base_batch` = 0: must be at least 1".into());
    }
    for (key, values) in [("rate.list", &rate.list), ("rate.ratios", &rate.ratios)] {
        values.iter().try_for_each(|value| positive(key, *value))?;
        if !values.is_empty() {
            list(key, values)?;
        }
    }
    Ok(())
}

fn tuning(recipe: &Recipe) -> Result<(), String> {
    let tuned = recipe.arm.iter().any(|arm| arm.rate.0.contains(&Rule::Tuned));
    let Some(Tuning { learning_rates, seeds, extend, .. }) = &recipe.tuning else {
        return if tuned {
            Err("the rate \"tuned\" of an arm needs the table [tuning]: add it".into())
        } else {
            Ok(())
        };
    };
    if !tuned {
        return Err("has the table [tuning], but no arm has the rate \"tuned\": leave it out".into());
    }
    count("tuning.seeds", *seeds, MAX_SEEDS)?;
    if *extend > MAX_EXTEND {
        return Err(format!("`tuning.extend` = {extend}: must be 0 to {MAX_EXTEND}"));
    }
    let rates = learning_rates;
    rates.iter().try_for_each(|rate| positive("tuning.learning_rates", *rate))?;
    if !(3..=MAX_LIST).contains(&rates.len()) {
        let have = rates.len();
        return Err(format!(
            "`tuning.learning_rates` has {have} values: 3 to {MAX_LIST} are wanted, since the best must lie between others"
        ));
    }
    let factors: Vec<f64> = rates.windows(2).map(|pair| pair[1] / pair[0]).collect();
    let (least, most) = factors.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), f| (a.min(*f), b.max(*f)));
    if least < 1.05 || most / least > UNEVEN {
        return Err("`tuning.learning_rates` must ascend, each about the same factor above the one before, such as \
                    [0.1, 0.2, 0.4]"
            .into());
    }
    Ok(())
}

fn budget(recipe: &Recipe) -> Result<(), String> {
    let budget = &recipe.budget;
    let used = |kind| recipe.arm.iter().any(|arm| arm.budget.0.contains(&kind));
    let (steps, loss) = (used(BudgetKind::Steps), used(BudgetKind::Loss));
    for (key, set, used, kind) in [
        ("budget.steps", budget.steps.is_some(), steps, "steps"),
        ("budget.loss", budget.loss.is_some(), loss, "loss"),
        ("budget.most_epochs", budget.most_epochs.is_some(), loss, "loss"),
    ] {
        if set && !used {
            return Err(format!("`{key}` is set, but no arm has the budget \"{kind}\": leave it out"));
        }
        if used && !set && key != "budget.most_epochs" {
            return Err(format!("the budget \"{kind}\" of an arm needs `{key}`: set it"));
        }
    }
    budget.loss.iter().try_for_each(|loss| positive("budget.loss", *loss))?;
    match (budget.steps, budget.most_epochs) {
        (Some(0), _) => Err("`budget.steps` = 0: must be at least 1".into()),
        (_, Some(0)) => Err("`budget.most_epochs` = 0: must be at least 1".into()),
        _ => Ok(()),
    }
}

fn count(key: &str, value: u32, most: u32) -> Result<(), String> {
    if (1..=most).contains(&value) { Ok(()) } else { Err(format!("`{key}` = {value}: must be 1 to {most}")) }
}

/// Above 0 and finite, as f32 too: it is used as one.
pub(crate) fn is_rate(value: f64) -> bool {
    let single = value as f32;
    single > 0.0 && single.is_finite()
}

fn positive(key: &str, value: f64) -> Result<(), String> {
    if is_rate(value) {
        return Ok(());
    }
    Err(format!("`{key}` has {value:?}: must be above 0 and finite as a 32-bit number"))
}
