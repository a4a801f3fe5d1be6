//! The thread that gives a communicator up once its generation is over, whatever the thread that uses it waits for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::communicator::Shared;

/// Between one look at the flag and the next.
const EVERY: Duration = Duration::from_millis(20);
/// How long a call that is under way may take before it is given up with the rest; none should take any time.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Watchdog {
    thread: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

impl Watchdog {
    /// Watches over `shared` until dropped.
    pub fn start(shared: Arc<Shared>, abort: Arc<AtomicBool>) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let watched = over.clone();
        let thread =
            std::thread::Builder::new().name("nccl-watchdog".into()).spawn(move || watch(&shared, &abort, &watched))?;
        Ok(Self { thread: Some(thread), over })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that has panicked has nothing more to give up.
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Shared, abort: &AtomicBool, over: &AtomicBool) {
    while !abort.load(Ordering::Acquire) {
        if over.load(Ordering::Acquire) {
            return;
        }
        std::thread::park_timeout(EVERY);
    }
    let since = Instant::now();
    while !over.load(Ordering::Acquire) {
        match shared.handle.try_lock() {
            Ok(mut handle) => return shared.abort(&mut handle),
            Err(TryLockError::Poisoned(poisoned)) => return shared.abort(&mut poisoned.into_inner()),
            // The call does not return by itself: NCCL ends it when the communicator is aborted beside it.
            Err(TryLockError::WouldBlock) if since.elapsed() > PATIENCE => return shared.abort_beside(),
            Err(TryLockError::WouldBlock) => std::thread::park_timeout(EVERY),
        }
    }
}
