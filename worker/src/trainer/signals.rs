//! What control tells the compute thread without waiting: to stop after a step, or to leave at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::lane::Pulse;
use super::measures;
use super::progress::Progress;
use crate::control::StopReason;

/// Wishes for one generation; the next has its own.
#[derive(Debug, Default)]
pub struct Signals {
    stop_flags: AtomicU64,
    abort: Arc<AtomicBool>,
}

impl Signals {
    /// Control's side: stop after committing a step.
    pub fn want_stop(&self, why: StopReason) {
        self.stop_flags.fetch_or(measures::flag(why), Ordering::Relaxed);
    }

    /// Control's side: leave the generation at once.
    pub fn abort(&self) {
        self.abort.store(true, Ordering::Relaxed);
    }

    /// Trainer's side: the bits that go into the next reduction.
    pub(super) fn stop_flags(&self) -> u64 {
        self.stop_flags.load(Ordering::Relaxed)
    }

    /// Trainer's side: what lanes look at and show.
    pub(super) fn pulse<'a>(&'a self, progress: &'a Progress) -> Pulse<'a> {
        Pulse { abort: &self.abort, progress }
    }

    /// Trainer's side: what waits look at.
    pub(super) fn abort_flag(&self) -> &Arc<AtomicBool> {
        &self.abort
    }
}
