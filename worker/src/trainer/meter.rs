//! Time and samples between two reports, and the time that this process spent in training.

use std::time::{Duration, Instant};

use lockstep_proto::wire;

use super::lane::LaneSeconds;
use super::measures::Score;

/// What was measured since the last report, and since the process' start.
pub struct Meter {
    /// In generations that are over.
    trained: Duration,
    generation: Instant,
    since: Instant,
    /// Time since the last report that was not training.
    apart: Duration,
    samples: u64,
    reduce: Duration,
    commit: Duration,
}

impl Meter {
    /// A meter before the first generation.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            trained: Duration::ZERO,
            generation: now,
            since: now,
            apart: Duration::ZERO,
            samples: 0,
            reduce: Duration::ZERO,
            commit: Duration::ZERO,
        }
    }

    /// A generation's training begins.
    pub fn begin(&mut self) {
        *self = Self { trained: self.trained, ..Self::new() };
    }

    /// The generation is over.
    pub fn end(&mut self) {
        self.trained += self.generation.elapsed();
    }

    /// A step was committed.
    pub fn step(&mut self, score: &Score, reduce: Duration, commit: Duration) {
        self.samples += score.samples;
        self.reduce += reduce;
        self.commit += commit;
    }

    /// Something that is not training, such as an evaluation, took this long.
    pub fn spent_apart(&mut self, took: Duration) {
        self.apart += took;
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

    /// Seconds in the generation under way, evaluations included.
    pub fn generation_seconds(&self) -> f64 {
        self.generation.elapsed().as_secs_f64()
    }

    /// Seconds in all generations of this process, evaluations included; the one under way too.
    pub fn total_seconds(&self) -> f64 {
        (self.trained + self.generation.elapsed()).as_secs_f64()
    }
}
