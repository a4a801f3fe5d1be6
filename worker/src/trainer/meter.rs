//! Time and samples between two reports, and the running mean of an epoch's loss.

use std::time::{Duration, Instant};

use lockstep_proto::wire;

use super::lane::LaneSeconds;
use super::measures::Score;

/// What was measured since the last report.
pub struct Meter {
    started: Instant,
    since: Instant,
    /// Time since the last report that was not training.
    apart: Duration,
    samples: u64,
    reduce: Duration,
    commit: Duration,
    epoch_loss: f64,
    epoch_samples: u64,
    whole_epoch_loss: f64,
}

impl Meter {
    /// Starts to measure.
    pub fn start() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            since: now,
            apart: Duration::ZERO,
            samples: 0,
            reduce: Duration::ZERO,
            commit: Duration::ZERO,
            epoch_loss: 0.0,
            epoch_samples: 0,
            whole_epoch_loss: f64::NAN,
        }
    }

    /// A step was committed.
    pub fn step(&mut self, score: &Score, reduce: Duration, commit: Duration) {
        self.samples += score.samples;
        self.reduce += reduce;
        self.commit += commit;
        self.epoch_loss += score.loss * score.samples as f64;
        self.epoch_samples += score.samples;
    }

    /// An evaluation took this long.
    pub fn evaluated(&mut self, took: Duration) {
        self.apart += took;
    }

    /// The next step is a new epoch's first.
    pub fn end_epoch(&mut self) {
        self.whole_epoch_loss = self.train_loss();
        (self.epoch_loss, self.epoch_samples) = (0.0, 0);
    }

    /// Mean loss of the epoch that is under way, or before its first step that of the last one; NaN before any step.
    pub fn train_loss(&self) -> f64 {
        match self.epoch_samples {
            0 => self.whole_epoch_loss,
            samples => self.epoch_loss / samples as f64,
        }
    }

    /// Whether steps were committed since the last report.
    pub fn has_steps(&self) -> bool {
        self.samples > 0
    }

    /// Samples a second and seconds by phase since the last report. `lanes`: where a lane thread's time went.
    pub fn take(&mut self, lanes: LaneSeconds) -> (f64, wire::PhaseSeconds) {
        let now = Instant::now();
        let training = (now - self.since).saturating_sub(self.apart);
        let samples_per_second = self.samples as f64 / training.as_secs_f64().max(1e-9);
        let seconds = wire::PhaseSeconds {
            data: lanes.data.as_secs_f64(),
            forward: lanes.forward.as_secs_f64(),
            backward: lanes.backward.as_secs_f64(),
            reduce: self.reduce.as_secs_f64(),
            commit: self.commit.as_secs_f64(),
        };
        (self.since, self.apart, self.samples) = (now, Duration::ZERO, 0);
        (self.reduce, self.commit) = (Duration::ZERO, Duration::ZERO);
        (samples_per_second, seconds)
    }

    /// Seconds since the start, evaluations included.
    pub fn total_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}
