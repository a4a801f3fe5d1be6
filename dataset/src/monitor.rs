//! State that threads share and wait for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A lock, and a way to wait until what it guards has changed. A thread that has panicked leaves the state as it was.
#[derive(Default)]
pub(crate) struct Monitor<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    /// The state, for one thread.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has those look again who wait.
    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Changes the state, and has those look again who wait.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.notify();
    }

    /// Waits for a change.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, no longer than this.
    pub(crate) fn wait_for<'a>(&self, state: MutexGuard<'a, T>, most: Duration) -> MutexGuard<'a, T> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits for as long as the state is so.
    pub(crate) fn wait_while(&self, is_so: impl FnMut(&mut T) -> bool) -> MutexGuard<'_, T> {
        self.changed.wait_while(self.lock(), is_so).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for as long as the state is so, no longer than this.
    pub(crate) fn wait_while_for(&self, most: Duration, is_so: impl FnMut(&mut T) -> bool) {
        drop(self.changed.wait_timeout_while(self.lock(), most, is_so));
    }
}
