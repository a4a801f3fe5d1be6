//! A study's cells as a table: before it is trained, and with what came of it.

use anyhow::Result;
use lockstep_coordinator::client::{columns, percent};
use lockstep_study::grid::{Cell, CellRate};
use lockstep_study::plan::{Known, Outcome, Planner, Survey};
use lockstep_study::statistics::{Interval, mean_interval};
use serde_json::{Value, json};

use super::progress::shown;
use crate::print;

/// What came of each cell: the mean test error over seeds, with its 95% interval by bootstrap over seeds, as in the report;
/// three seeds or fewer have none.
pub fn table(planner: &Planner, survey: &Survey, known: &Known) -> String {
    let header = ["CELL", "ARM", "BATCH", "RATE", "BUDGET", "η", "TEST ERROR", "95% (BOOTSTRAP)", "RUNS", ""];
    let mut rows = vec![header.map(String::from).to_vec()];
    for (place, cell) in planner.grid().cells.iter().enumerate() {
        let runs = of_cell(survey, known, place);
        let errors: Vec<f64> = runs.iter().filter_map(|outcome| outcome.test_error).collect();
        let error = mean_interval(&errors);
        let diverged = runs.iter().filter(|outcome| outcome.diverged()).count();
        let standing = &survey.cells[place];
        let mut remarks = Vec::new();
        if diverged > 0 {
            remarks.push(format!("{diverged} diverged"));
        }
        if !standing.remark.is_empty() {
            remarks.push(standing.remark.clone());
        }
        rows.push(vec![
            cell.id.clone(),
            cell.arm.clone(),
            cell.batch.to_string(),
            cell.rule.as_str().to_owned(),
            cell.budget.as_str().to_owned(),
            standing.learning_rate.map(shown).unwrap_or_default(),
            error.map(|error| percent(error.value)).unwrap_or_default(),
            error
                .and_then(ends)
                .map(|[low, high]| format!("{} to {}", percent(low), percent(high)))
                .unwrap_or_default(),
            format!("{}/{}", runs.len(), planner.grid().file.recipe.study.seeds),
            remarks.join("; "),
        ]);
    }
    columns(&rows)
}

/// Both ends of an interval, if it has them.
fn ends(interval: Interval) -> Option<[f64; 2]> {
    Some([interval.low?, interval.high?])
}

/// The same, a JSON object a line.
///
/// # Errors
/// If it can't be written.
pub fn print_json(planner: &Planner, survey: &Survey, known: &Known) -> Result<()> {
    for (place, cell) in planner.grid().cells.iter().enumerate() {
        let runs = of_cell(survey, known, place);
        let errors: Vec<f64> = runs.iter().filter_map(|outcome| outcome.test_error).collect();
        let error = mean_interval(&errors);
        let mut value = of_grid(cell);
        value["learning_rate"] = json!(survey.cells[place].learning_rate);
        value["interior"] = json!(survey.cells[place].interior);
        value["remark"] = json!(survey.cells[place].remark);
        value["runs"] = json!(runs.len());
        value["diverged"] = json!(runs.iter().filter(|outcome| outcome.diverged()).count());
        value["test_error"] = json!(error.map(|error| error.value));
        value["interval"] = json!(error.and_then(ends));
        print(&format!("{value}\n"))?;
    }
    Ok(())
}

/// What there is to train.
///
/// # Errors
/// If it can't be written.
pub fn outlook(planner: &Planner, survey: &Survey, known: &Known, as_json: bool) -> Result<()> {
    let grid = planner.grid();
    if as_json {
        for cell in &grid.cells {
            print(&format!("{}\n", of_grid(cell)))?;
        }
        let (runs, done) = (grid.runs_known(), known.len());
        return print(&format!("{}\n", json!({ "kind": "study", "runs": runs, "done": done })));
    }
    let header = ["CELL", "ARM", "BATCH", "LANES", "RATE", "BUDGET", "η", "EPOCHS"];
    let mut rows = vec![header.map(String::from).to_vec()];
    for (place, cell) in grid.cells.iter().enumerate() {
        let schedule = &cell.job.schedule;
        let epochs = match schedule.max_steps {
            0 => schedule.epochs.to_string(),
            steps => format!("{} ({steps} steps)", schedule.epochs),
        };
        let rate = match (survey.cells[place].learning_rate, cell.rate) {
            (Some(rate), _) => shown(rate),
            (None, CellRate::Scaled { of, factor }) => format!("{} × that of {}", shown(factor), grid.cells[of].id),
            (None, CellRate::Tuned | CellRate::Given(_)) => "to be tuned".to_owned(),
        };
        rows.push(vec![
            cell.id.clone(),
            cell.arm.clone(),
            cell.batch.to_string(),
            format!("{} × {}", cell.job.batch.lanes(), cell.job.batch.micro_batch),
            cell.rule.as_str().to_owned(),
            cell.budget.as_str().to_owned(),
            rate,
            epochs,
        ]);
    }
    let seeds = grid.file.recipe.study.seeds;
    let trials = grid.runs_known() - grid.cells.len() * seeds as usize;
    let mut last = format!("{} cells × {seeds} seeds", grid.cells.len());
    if let Some(tuning) = &grid.file.recipe.tuning {
        last +=
            &format!(", and {trials} runs that tune, more where a grid has to grow (by {} to a side)", tuning.extend);
    }
    let done = if known.is_empty() { String::new() } else { format!("; {} are done", known.len()) };
    print(&format!("{}\n{last}: {} runs{done}\n", columns(&rows), grid.runs_known()))
}

fn of_grid(cell: &Cell) -> Value {
    json!({
        "kind": "cell",
        "cell": cell.id,
        "arm": cell.arm,
        "batch": cell.batch,
        "micro_batch": cell.job.batch.micro_batch,
        "rate": cell.rule.as_str(),
        "budget": cell.budget.as_str(),
        "epochs": cell.job.schedule.epochs,
        "max_steps": cell.job.schedule.max_steps,
    })
}

fn of_cell<'a>(survey: &Survey, known: &'a Known, place: usize) -> Vec<&'a Outcome> {
    let finals = survey.tasks.iter().filter(|task| task.cell == place && !task.tunes);
    finals.filter_map(|task| known.get(&task.key)).collect()
}
