//! How far long work is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Lines where there is no terminal: one each time that this share is done.
const LINES: u64 = 10;

/// The state of one piece of work after the other.
pub struct Meter {
    bar: ProgressBar,
    shown: Shown,
    /// What is being done.
    stage: Mutex<&'static str>,
    /// Tenths that were told.
    told: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Bar,
    Lines,
    Nothing,
}

impl Meter {
    /// On standard error.
    pub fn new(quiet: bool) -> Self {
        let shown = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, true) => Shown::Bar,
            (false, false) => Shown::Lines,
        };
        let target = if shown == Shown::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        Self { bar, shown, stage: Mutex::new(""), told: AtomicU64::new(0) }
    }

    /// So many things of a kind were found, and there may be more.
    pub fn found(&self, stage: &'static str, count: u64) {
        self.begin(stage, "{msg}  {human_pos}  {per_sec}", None);
        self.bar.set_position(count);
    }

    /// So many of so many are done.
    pub fn done(&self, stage: &'static str, done: u64, of: u64, unit: Unit) {
        let template = match unit {
            Unit::Samples => "{msg}  {bar:32} {human_pos}/{human_len}  {per_sec}  {eta} left",
            Unit::Bytes => "{msg}  {bar:32} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
        };
        self.begin(stage, template, Some(of));
        self.bar.set_position(done);
        let tenths = done * LINES / of.max(1);
        if self.shown == Shown::Lines && self.told.fetch_max(tenths, Ordering::Relaxed) < tenths {
            eprintln!("{stage}  {}%", 100 * tenths / LINES);
        }
    }

    /// Nothing is going on any more.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn begin(&self, stage: &'static str, template: &str, of: Option<u64>) {
        let mut current = self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *current == stage && self.bar.length() == of {
            return;
        }
        *current = stage;
        self.told.store(0, Ordering::Relaxed);
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("━━─"));
        }
        self.bar.reset();
        self.bar.set_message(stage);
        match of {
            Some(of) => self.bar.set_length(of),
            None => self.bar.unset_length(),
        }
    }
}

/// What is counted.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Images.
    Samples,
    /// Of files.
    Bytes,
}
