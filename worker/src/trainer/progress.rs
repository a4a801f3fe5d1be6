//! What the compute thread shows while it works: its phase, for how long, and what it did last.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lockstep_dataset::remote;
use lockstep_proto::wire;

use super::recorder::{Deed, Recorder};

/// What the compute thread is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// In no generation.
    Idle,
    /// Data set, model, checkpoint folders.
    Prepare,
    /// Into a generation: the other members, and the state.
    Start,
    /// Data, forward and backward of this worker's lanes.
    Lanes,
    /// Another worker's lane, computed again.
    Replay,
    /// The reduction.
    Reduce,
    /// The update.
    Commit,
    /// Digests of the state.
    Digest,
    /// An evaluation.
    Evaluate,
    /// Waits for a checkpoint that has to be on disk.
    Checkpoint,
    /// Second derivatives, before an epoch's first step.
    Curvature,
    /// From the pass at the weights to the place above them.
    Ascend,
    /// A lane of every size, by the plans of the libraries.
    Plans,
    /// A pass of a probe.
    Probe,
}

const NAMES: [&str; 14] = [
    "idle",
    "prepare",
    "start",
    "lanes",
    "replay",
    "reduce",
    "commit",
    "digest",
    "evaluate",
    "checkpoint",
    "curvature",
    "ascend",
    "plans",
    "probe",
];

impl Phase {
    /// Its name on screens and in logs.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// Written by the compute thread alone, read by any.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    /// Grows with every phase, and with every lane of one.
    count: AtomicU64,
    phase: AtomicU8,
    step: AtomicU64,
    /// When the phase began, in microseconds since `started`.
    since: AtomicU64,
    /// The longest that each phase has taken, in microseconds.
    longest: [AtomicU64; NAMES.len()],
    /// What each phase has taken on the whole, in microseconds.
    totals: [AtomicU64; NAMES.len()],
    /// Smoothed time of a lane, in nanoseconds.
    lane: AtomicU64,
    recorder: Mutex<Recorder>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            count: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Idle as u8),
            step: AtomicU64::new(0),
            since: AtomicU64::new(0),
            longest: Default::default(),
            totals: Default::default(),
            lane: AtomicU64::new(0),
            recorder: Mutex::default(),
        }
    }
}

impl Progress {
    /// The sign of life.
    pub fn alive(&self) -> wire::WorkerAlive {
        if remote::is_awaited() {
            // A store has its own limits of time.
            self.moves();
        }
        // The compute thread may move on between these loads; a sign of life may be a phase off.
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        let taken = self.micros().saturating_sub(self.since.load(Ordering::Relaxed));
        wire::WorkerAlive {
            progress: self.count.load(Ordering::Relaxed),
            phase: NAMES[phase].into(),
            step: self.step.load(Ordering::Relaxed),
            phase_seconds: Duration::from_micros(taken).as_secs_f64(),
            longest_seconds: Duration::from_micros(self.longest[phase].load(Ordering::Relaxed)).as_secs_f64(),
            lane_seconds: Duration::from_nanos(self.lane.load(Ordering::Relaxed)).as_secs_f64(),
            phases: NAMES.iter().zip(&self.totals).map(phase_time).collect(),
            gpu: None,
        }
    }

    /// The flight recorder's events, oldest first.
    pub fn recent(&self) -> Vec<String> {
        self.recorder().lines()
    }

    /// Compute thread: a phase begins, after `step` committed steps.
    pub(super) fn enter(&self, phase: Phase, step: u64) {
        let now = self.micros();
        let taken = now.saturating_sub(self.since.swap(now, Ordering::Relaxed));
        let before = self.phase.swap(phase as u8, Ordering::Relaxed);
        self.longest[usize::from(before)].fetch_max(taken, Ordering::Relaxed);
        self.totals[usize::from(before)].fetch_add(taken, Ordering::Relaxed);
        self.step.store(step, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.recorder().note(Duration::from_micros(now), Deed::Phase { name: phase.name(), step });
    }

    /// Any of the compute thread's threads: the phase goes on.
    pub(super) fn moves(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Compute thread: something rarer than a phase, in words.
    pub(super) fn note(&self, words: String) {
        self.recorder().note(self.started.elapsed(), Deed::Note(words));
    }

    /// Compute thread: all of its threads together took so long for a step's `lanes`.
    pub(super) fn lanes(&self, lanes: usize, took: Duration) {
        let Some(lane) = (took.as_nanos() as u64).checked_div(lanes as u64) else { return };
        let before = self.lane.load(Ordering::Relaxed);
        // A mean over some 16 steps: one that was held up does not show.
        let smoothed = if before == 0 { lane } else { before - before / 16 + lane / 16 };
        self.lane.store(smoothed, Ordering::Relaxed);
    }

    fn micros(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        // A panic of the compute thread is when it is needed.
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn phase_time((name, micros): (&&str, &AtomicU64)) -> wire::PhaseTime {
    let seconds = Duration::from_micros(micros.load(Ordering::Relaxed)).as_secs_f64();
    wire::PhaseTime { phase: (*name).into(), seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_tells_phase_and_step() {
        let progress = Progress::default();
        progress.enter(Phase::Lanes, 7);
        progress.enter(Phase::Reduce, 7);
        let alive = progress.alive();
        assert_eq!((alive.progress, alive.phase.as_str(), alive.step), (2, "reduce", 7));
        assert_eq!(alive.longest_seconds, 0.0);
        assert!(progress.recent()[1].ends_with("reduce after step 7"));
    }
}
