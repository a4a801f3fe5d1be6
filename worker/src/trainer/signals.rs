//! What control and compute thread tell each other without waiting: stop and abort one way, progress the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use lockstep_proto::wire;

use super::measures;
use crate::control::StopReason;

/// The phases of a step, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Before the first step: data set, peers.
    Start,
    /// Data, forward and backward of this worker's lanes.
    Lanes,
    /// The reduction.
    Reduce,
    /// The update.
    Commit,
    /// An evaluation.
    Evaluate,
}

const PHASE_NAMES: [&str; 5] = ["start", "lanes", "reduce", "commit", "evaluate"];

/// Shared by the two sides.
#[derive(Debug, Default)]
pub struct Signals {
    stop_flags: AtomicU64,
    abort: Arc<AtomicBool>,
    progress: AtomicU64,
    phase: AtomicU8,
}

impl Signals {
    /// Control's side: stop after committing a step.
    pub fn want_stop(&self, why: StopReason) {
        let flag = match why {
            StopReason::Cancelled => measures::CANCELLED,
            StopReason::Interrupted => measures::INTERRUPTED,
        };
        self.stop_flags.fetch_or(flag, Ordering::Relaxed);
    }

    /// Control's side: leave the reduction at once.
    pub fn abort(&self) {
        self.abort.store(true, Ordering::Relaxed);
    }

    /// Control's side: the sign of life.
    pub fn alive(&self) -> wire::WorkerAlive {
        let phase = PHASE_NAMES[usize::from(self.phase.load(Ordering::Relaxed))];
        wire::WorkerAlive { progress: self.progress.load(Ordering::Relaxed), phase: phase.into() }
    }

    /// Trainer's side: the bits that go into the next reduction.
    pub fn stop_flags(&self) -> u64 {
        self.stop_flags.load(Ordering::Relaxed)
    }

    /// Trainer's side: what waits look at.
    pub fn abort_flag(&self) -> Arc<AtomicBool> {
        self.abort.clone()
    }

    /// Trainer's side: a phase begins.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.progress.fetch_add(1, Ordering::Relaxed);
    }
}
