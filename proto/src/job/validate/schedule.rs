//! Schedules that no run can have.

use super::{Violation, integer, number};
use crate::job::spec::Course::{self, Cosine, MultiStep, OneCycle, Polynomial, Step, Table};
use crate::job::spec::Schedule;

const MAX_EPOCHS: u32 = 1_000_000;
/// Rows of a list.
const MAX_ROWS: usize = 1000;

pub(super) fn schedule(schedule: &Schedule) -> Result<(), Violation> {
    integer("schedule.epochs", schedule.epochs, 1, MAX_EPOCHS)?;
    integer("schedule.step_every", schedule.step_every, 1, MAX_EPOCHS)?;
    integer("schedule.warmup_epochs", schedule.warmup_epochs, 0, MAX_EPOCHS)?;
    let above_zero = |value: f64| value > 0.0 && value.is_finite();
    number("schedule.step_factor", schedule.step_factor, "above 0 and finite", above_zero(schedule.step_factor))?;
    number(
        "schedule.power",
        schedule.power,
        "above 0 and at most 100",
        schedule.power > 0.0 && schedule.power <= 100.0,
    )?;
    number("schedule.peak", schedule.peak, "above 0 and below 1", schedule.peak > 0.0 && schedule.peak < 1.0)?;
    for (key, value) in [
        ("schedule.start_factor", schedule.start_factor),
        ("schedule.end_factor", schedule.end_factor),
        ("schedule.warmup_factor", schedule.warmup_factor),
    ] {
        number(key, value, "from 0 to 1", (0.0..=1.0).contains(&value))?;
    }
    ascending("schedule.step_at", &schedule.step_at)?;
    table(schedule)?;
    has_part(schedule)?;
    warmup(schedule)?;
    stops(schedule)
}

fn stops(schedule: &Schedule) -> Result<(), Violation> {
    let accuracy = schedule.target_accuracy;
    number("schedule.target_accuracy", accuracy, "from 0 to 1", (0.0..=1.0).contains(&accuracy))?;
    for (key, value) in [
        ("schedule.target_loss", schedule.target_loss),
        ("schedule.target_train_loss", schedule.target_train_loss),
        ("schedule.max_minutes", schedule.max_minutes),
    ] {
        number(key, value, "at least 0 and finite", value >= 0.0 && value.is_finite())?;
    }
    Ok(())
}

/// A list of epochs, each above the one before; the first above 0.
pub(super) fn ascending(key: &'static str, epochs: &[u32]) -> Result<(), Violation> {
    if epochs.len() > MAX_ROWS {
        return Err(Violation::new(&[key], format!("`{key}` has {} entries: {MAX_ROWS} are the most", epochs.len())));
    }
    let before = std::iter::once(0).chain(epochs.iter().copied());
    match before.zip(epochs).find(|(before, epoch)| *epoch <= before) {
        Some((before, epoch)) => {
            let problem =
                format!("`{key}` has epoch {epoch} where one above {before} is wanted: let them ascend, from 1");
            Err(Violation::new(&[key], problem))
        }
        None => Ok(()),
    }
}

fn table(schedule: &Schedule) -> Result<(), Violation> {
    const KEY: &str = "schedule.table";
    let refuse = |problem: String| Err(Violation::new(&[KEY], problem));
    if schedule.table.len() > MAX_ROWS {
        return refuse(format!("`{KEY}` has {} entries: {MAX_ROWS} are the most", schedule.table.len()));
    }
    for &(epochs, rate) in &schedule.table {
        if !(1..=MAX_EPOCHS).contains(&epochs) {
            return refuse(format!("`{KEY}` has an entry for {epochs} epochs: each must be for 1 to {MAX_EPOCHS}"));
        }
        let single = rate as f32;
        if !(single > 0.0 && single.is_finite()) {
            return refuse(format!(
                "`{KEY}` has a rate of {rate:?}: each must be above 0 and finite as a 32-bit number"
            ));
        }
    }
    Ok(())
}

/// Keys that the course knows nothing of must be as they are by default, and it must have those that it needs.
fn has_part(schedule: &Schedule) -> Result<(), Violation> {
    let default = Schedule::default();
    let keys: [(&'static str, bool, &[Course]); 8] = [
        ("schedule.step_every", schedule.step_every != default.step_every, &[Step]),
        ("schedule.step_at", !schedule.step_at.is_empty(), &[MultiStep]),
        ("schedule.step_factor", schedule.step_factor != default.step_factor, &[Step, MultiStep]),
        ("schedule.power", schedule.power != default.power, &[Polynomial]),
        ("schedule.peak", schedule.peak != default.peak, &[OneCycle]),
        ("schedule.start_factor", schedule.start_factor != default.start_factor, &[OneCycle]),
        ("schedule.end_factor", schedule.end_factor != default.end_factor, &[Cosine, Polynomial, OneCycle]),
        ("schedule.table", !schedule.table.is_empty(), &[Table]),
    ];
    let course = schedule.learning_rate;
    for (key, set, those) in keys {
        if set && !those.contains(&course) {
            let (course, those) = (course.as_str(), those.iter().map(|course| course.as_str()).collect::<Vec<_>>());
            let problem = format!(
                "`{key}` is set, but has no part in `schedule.learning_rate` = \"{course}\": it is for {}",
                those.join(", ")
            );
            return Err(Violation::new(&[key, "schedule.learning_rate"], problem));
        }
    }
    for (key, empty, wanted) in [
        ("schedule.step_at", schedule.step_at.is_empty(), MultiStep),
        ("schedule.table", schedule.table.is_empty(), Table),
    ] {
        if course == wanted && empty {
            let problem = format!("`schedule.learning_rate` = \"{}\" needs `{key}`: set it", course.as_str());
            return Err(Violation::new(&["schedule.learning_rate", key], problem));
        }
    }
    Ok(())
}

fn warmup(schedule: &Schedule) -> Result<(), Violation> {
    let (epochs, steps) = (schedule.warmup_epochs, schedule.warmup_steps);
    if epochs > 0 && steps > 0 {
        let keys = ["schedule.warmup_epochs", "schedule.warmup_steps"];
        let problem = format!("`{}` and `{}` exclude each other: set one of them to 0", keys[0], keys[1]);
        return Err(Violation::new(&keys, problem));
    }
    for (key, set) in [("schedule.warmup_epochs", epochs > 0), ("schedule.warmup_steps", steps > 0)] {
        if set && schedule.learning_rate == OneCycle {
            let problem =
                format!("`{key}` is set, but `schedule.learning_rate` = \"one_cycle\" rises by itself: set it to 0");
            return Err(Violation::new(&[key, "schedule.learning_rate"], problem));
        }
    }
    if epochs == 0 && steps == 0 && schedule.warmup_factor != Schedule::default().warmup_factor {
        let keys = ["schedule.warmup_factor", "schedule.warmup_epochs", "schedule.warmup_steps"];
        let problem = format!("`{}` needs `{}` or `{}` above 0", keys[0], keys[1], keys[2]);
        return Err(Violation::new(&keys, problem));
    }
    Ok(())
}
