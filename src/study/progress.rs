//! What a person, or a program, sees of a study while it is trained.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lockstep_coordinator::client::{self, duration, percent};
use lockstep_study::grid::Cell;
use lockstep_study::plan::{Outcome, Task};
use serde_json::json;

/// How to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Not at all.
    Quiet,
    /// A JSON object a line, on the standard output.
    Json,
    /// A line a run, and a bar on a terminal, on the standard error.
    Lines,
}

impl View {
    /// By what was asked for.
    pub fn of(quiet: bool, json: bool) -> Self {
        match (quiet, json) {
            (true, _) => Self::Quiet,
            (_, true) => Self::Json,
            _ => Self::Lines,
        }
    }
}

/// How far it is.
pub struct Counts {
    pub done: usize,
    pub running: usize,
    pub of: usize,
    /// Cells of runs that are to be done, and whether they tune.
    pub left: Vec<(usize, bool)>,
    /// Runs that have no name yet.
    pub later: usize,
}

/// The view of a study.
pub struct Progress {
    view: View,
    bar: ProgressBar,
    terminal: bool,
    begun: Instant,
    /// Of the longest arm's name.
    width: usize,
    /// Runs that are done, that are trained, and all, as they were told.
    told: Option<[usize; 3]>,
    /// Seconds and runs that this call took, by cell and whether they tune.
    taken: BTreeMap<(usize, bool), (f64, usize)>,
}

impl Progress {
    /// `cells`: those that there are.
    pub fn new(view: View, cells: &[Cell]) -> Self {
        let terminal = view == View::Lines && std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        // The template is ours.
        if let Ok(style) = ProgressStyle::with_template("{wide_bar:.cyan/dim} {msg}") {
            bar.set_style(style.progress_chars("━━─"));
        }
        let width = cells.iter().map(|cell| cell.arm.chars().count()).max().unwrap_or(0);
        Self { view, bar, terminal, begun: Instant::now(), width, told: None, taken: BTreeMap::new() }
    }

    /// The first run is about to begin.
    pub fn begin(&mut self, counts: &Counts) {
        self.begun = Instant::now();
        match self.view {
            View::Lines => self.line(&format!("{} of {} runs are done", counts.done, counts.of)),
            View::Json => self.print(&json!({ "kind": "study", "done": counts.done, "of": counts.of })),
            View::Quiet => {}
        }
        self.update(counts);
    }

    /// Something that people should know.
    pub fn note(&self, note: &str) {
        match self.view {
            View::Lines => self.line(note),
            View::Json => self.print(&json!({ "kind": "note", "note": note })),
            View::Quiet => {}
        }
    }

    /// How far it is now.
    pub fn update(&mut self, counts: &Counts) {
        let now = [counts.done, counts.running, counts.of];
        if self.told.replace(now) == Some(now) {
            return;
        }
        let left = self.seconds_left(counts);
        let words = left.map_or_else(String::new, |left| format!(" · {} left", duration(left)));
        match self.view {
            View::Lines => {
                self.bar.set_length(counts.of as u64);
                self.bar.set_position(counts.done as u64);
                self.bar.set_message(format!("{}/{} runs · {} running{words}", counts.done, counts.of, counts.running));
            }
            View::Json => self.print(&json!({
                "kind": "progress",
                "done": counts.done,
                "running": counts.running,
                "of": counts.of,
                "seconds_left": left,
            })),
            View::Quiet => {}
        }
    }

    /// A run was trained from its start in this call, by which the time that others take is told.
    pub fn took(&mut self, task: &Task, seconds: f64) {
        let entry = self.taken.entry((task.cell, task.tunes)).or_insert((0.0, 0));
        (entry.0, entry.1) = (entry.0 + seconds, entry.1 + 1);
    }

    /// A run has ended.
    pub fn finished(&self, cell: &Cell, task: &Task, outcome: &Outcome, seconds: f64) {
        match self.view {
            View::Lines => self.line(&self.run(cell, task, outcome, seconds)),
            View::Json => self.print(&json!({
                "kind": "run",
                "run": task.key,
                "cell": cell.id,
                "arm": cell.arm,
                "batch": cell.batch,
                "learning_rate": task.learning_rate,
                "seed": task.seed,
                "tunes": task.tunes,
                "stop_reason": outcome.stop_reason,
                "steps": outcome.steps,
                "validation_loss": outcome.validation_loss,
                "validation_error": outcome.validation_error,
                "test_error": outcome.test_error,
                "seconds": seconds,
            })),
            View::Quiet => {}
        }
    }

    /// There is nothing more to come.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// What is left takes as long as what was done, by the weights of cells: each run's is what its cell's have taken on
    /// average, or all of them where there is none yet. So it counts how many run at a time, and what starts cost.
    fn seconds_left(&self, counts: &Counts) -> Option<f64> {
        let (seconds, runs) = self.taken.values().fold((0.0, 0), |(a, b), (c, d)| (a + c, b + d));
        if runs == 0 || seconds == 0.0 {
            return None;
        }
        let mean = seconds / runs as f64;
        let weight = |place: &(usize, bool)| self.taken.get(place).map_or(mean, |(sum, count)| sum / *count as f64);
        let left: f64 = counts.left.iter().map(weight).sum::<f64>() + counts.later as f64 * mean;
        Some(left * self.begun.elapsed().as_secs_f64() / seconds)
    }

    /// A run in words.
    fn run(&self, cell: &Cell, task: &Task, outcome: &Outcome, seconds: f64) -> String {
        let steps = outcome.steps.unwrap_or(0);
        let found = match (outcome, task.tunes) {
            (outcome, _) if outcome.diverged() => format!("diverged after step {steps}"),
            (Outcome { validation_loss: Some(loss), validation_error: Some(error), .. }, true) => {
                format!("validation loss {loss:.4}  error {}", percent(*error))
            }
            (Outcome { test_error: Some(error), .. }, false) => format!("test error {}", percent(*error)),
            _ => format!("{steps} steps"),
        };
        let what = if task.tunes { "tunes" } else { "runs " };
        let target = outcome.steps_to_target.map_or_else(String::new, |steps| format!("  target at step {steps}"));
        let width = self.width;
        format!(
            "{}  {:<width$}  batch {:>5}  η {:<8} seed {:<2}  {what}  {found}{target}  {}",
            cell.id,
            cell.arm,
            cell.batch,
            shown(task.learning_rate),
            task.seed,
            duration(seconds),
        )
    }

    fn line(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            // A closed standard error is no reason to end.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    fn print(&self, value: &serde_json::Value) {
        // A reader that has gone is no reason to end.
        let _ = client::print(&format!("{value}\n"));
    }
}

/// Four digits, as short as they are.
pub fn shown(rate: f64) -> String {
    let text = format!("{rate:.3e}");
    match text.parse::<f64>() {
        Ok(rate) if (1e-4..1e6).contains(&rate) => rate.to_string(),
        Ok(rate) => format!("{rate:e}"),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn learning_rates_are_as_short_as_they_are() {
        let texts = [0.1, 0.123456, 1e30, 5.43219e-5, 12.0].map(shown);
        assert_eq!(texts, ["0.1", "0.1235", "1e30", "5.432e-5", "12"]);
    }
}
