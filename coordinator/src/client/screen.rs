//! The progress view of `train` and `watch`: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lockstep_proto::wire;

use super::noise;
use super::summary::shows_top5;
use super::table::{duration, grouped, percent};

/// What a person sees of a running job, on the standard error.
pub struct Screen {
    bar: ProgressBar,
    terminal: bool,
    state: String,
    newest: Option<wire::Progress>,
    shown_step: u64,
    shows_top5: bool,
}

impl Screen {
    /// An empty view.
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        set_style(&bar, "{msg}");
        Self { bar, terminal, state: String::new(), newest: None, shown_step: 0, shows_top5: false }
    }

    /// The job's state or progress changed.
    pub fn job(&mut self, job: &wire::JobView) {
        self.shows_top5 = shows_top5(job);
        let state = format!("{}: {}", job.state, job.reason);
        match &job.progress {
            Some(progress) if job.state == "running" || job.state == "stopping" => {
                self.progress(progress);
            }
            Some(_) | None => self.bar.set_message(state.clone()),
        }
        if self.state != state {
            if !self.terminal {
                self.line(&format!("job {} {state}", job.job));
            }
            self.state = state;
        }
    }

    /// What was decided about the job, unless its state says the same.
    pub fn note(&mut self, line: &str) {
        if !self.state.ends_with(line) {
            self.line(line);
        }
    }

    fn progress(&mut self, progress: &wire::Progress) {
        if self.newest.is_none() {
            // Two lines, which fit 80 columns; a narrower terminal cuts them short.
            set_style(&self.bar, "{wide_bar:.cyan/dim} {prefix}\n{wide_msg}");
        }
        self.bar.set_length(progress.total_steps.max(progress.step));
        self.bar.set_position(progress.step);
        self.bar.set_prefix(beside(progress));
        self.bar.set_message(figures(progress));
        self.newest = Some(progress.clone());
    }

    /// An evaluation was done: a line that stays.
    pub fn evaluation(&self, report: &wire::EvaluationReport) {
        let top5 = format!("  top-5 error {}", percent(1.0 - report.top5_accuracy));
        self.line(&format!(
            "epoch {:>3}  step {:>7}  {} loss {:.4}  error {}{}{}",
            report.epoch,
            report.step,
            report.split,
            report.loss,
            percent(1.0 - report.accuracy),
            if self.shows_top5 { top5.as_str() } else { "" },
            if report.skipped.is_empty() { "" } else { "  without samples that can't be decoded" },
        ));
    }

    /// A probe was taken: a line that stays, with the figures that are one number, but for those of single layers.
    pub fn probe(&self, report: &wire::ProbeReport) {
        let mut line = format!("epoch {:>3}  step {:>7}  {}", report.epoch, report.step, report.probe);
        for figure in report.figures.iter().filter(|figure| figure.values.len() == 1 && !figure.name.contains('/')) {
            line += &format!("  {} {:.4}", figure.name.replace('_', " "), figure.values[0]);
        }
        report.remarks.iter().for_each(|remark| line += &format!("  ({remark})"));
        self.line(&line);
    }

    /// Time for a line where there is no bar.
    pub fn pulse(&mut self) {
        if let Some(progress) = &self.newest
            && !self.terminal
            && progress.step > self.shown_step
        {
            self.shown_step = progress.step;
            self.line(&format!("{}  {}", figures(progress), beside(progress)));
        }
    }

    fn line(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            // A closed standard error is no reason to end.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// The job has ended.
    pub fn close(&self) {
        self.bar.finish_and_clear();
    }
}

/// The templates are ours; one that indicatif can't read would leave the bar as it was.
fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━━─"));
    }
}

/// What stands behind the bar, or at the end of a line.
fn beside(progress: &wire::Progress) -> String {
    let scale = progress.noise.as_ref().and_then(noise::scale).map(|scale| format!("noise scale {scale}  "));
    format!("{}{} left", scale.unwrap_or_default(), duration(progress.seconds_left))
}

fn figures(progress: &wire::Progress) -> String {
    format!(
        "epoch {}/{}  step {}/{}  loss {:.4}  accuracy {}  {} samples/s",
        (progress.epoch + 1).min(progress.total_epochs.max(1)),
        progress.total_epochs,
        progress.step,
        progress.total_steps,
        progress.loss,
        percent(progress.accuracy),
        grouped(progress.samples_per_second),
    )
}
