//! The thread that writes and removes checkpoints, so that training never waits for a disk.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::{Name, Place, Snapshot, Written};

/// How often a write is tried again on a full disk.
pub const RETRY: Duration = Duration::from_secs(2);

/// How often [`Writer::flush`] looks whether it is aborted.
const LOOK: Duration = Duration::from_millis(20);

/// Whether a snapshot that waits gives way to a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// A newer one takes its place: with a slow disk the newest is written, not all.
    Replaceable,
    /// It is written, whatever comes after it.
    Urgent,
}

/// Niceness of the thread: it takes a tenth of a core that training wants as well, and all of one that idles.
const NICE: i32 = 10;

/// What became of a snapshot or a removal; told on the writer's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Written(Written),
    /// It is not. A full disk is told once, and the write is tried again until there is room; anything else is final.
    Failed {
        /// The snapshot's step.
        step: u64,
        /// Why, and what to do.
        reason: String,
        /// There was no room.
        full: bool,
    },
    /// It is gone.
    Removed(Name),
    /// It may be there still.
    NotRemoved {
        /// Its name.
        name: Name,
        /// Why.
        reason: String,
    },
}

/// Owns a place and the one thread that changes it. Dropped, it ends after the write or removal that is in progress
/// and forgets what waits: call [`Writer::flush`] before.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    writes: VecDeque<(Box<Snapshot>, Priority)>,
    removals: VecDeque<Name>,
    /// A write or removal is in progress.
    busy: bool,
    /// No write is tried before, since the disk was full.
    full_until: Option<Instant>,
    closing: bool,
}

enum Task {
    Write(Box<Snapshot>, Priority),
    Remove(Name),
}

impl Writer {
    /// Starts the thread. `tell` is called there with every outcome; it should be quick.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(place: Place, retry: Duration, tell: impl FnMut(Outcome) + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = Worker { shared: Arc::clone(&shared), place, retry, tell, full_told: false };
        let thread = thread::Builder::new().name("checkpoints".into()).spawn(|| {
            // On Linux this is the calling thread's own. A refusal costs a little of the training's time.
            let _ = rustix::process::setpriority_process(None, NICE);
            worker.run();
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands a snapshot over and returns at once. Gives back the replaceable one that waited, if any: it will not be
    /// written.
    pub fn submit(&self, snapshot: Snapshot, priority: Priority) -> Option<Snapshot> {
        let mut queue = self.shared.lock();
        let replaced = queue.take_replaceable();
        queue.writes.push_back((Box::new(snapshot), priority));
        drop(queue);
        self.shared.changed.notify_all();
        replaced
    }

    /// Has a checkpoint removed, before any write that waits; returns at once.
    pub fn remove(&self, name: Name) {
        self.shared.lock().removals.push_back(name);
        self.shared.changed.notify_all();
    }

    /// Waits until all is written and removed, on a full disk until there is room. `false` if `aborted` said so before;
    /// it is asked many times a second.
    pub fn flush(&self, aborted: impl Fn() -> bool) -> bool {
        let mut queue = self.shared.lock();
        while !queue.is_idle() {
            if aborted() {
                return false;
            }
            queue = self.shared.wait(queue, Some(LOOK));
        }
        true
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It does not panic unless `tell` does, and that has been printed.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole after every statement: a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>, limit: Option<Duration>) -> MutexGuard<'a, Queue> {
        match limit {
            None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => self.changed.wait_timeout(queue, limit).unwrap_or_else(PoisonError::into_inner).0,
        }
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.writes.is_empty() && self.removals.is_empty() && !self.busy
    }

    fn take_replaceable(&mut self) -> Option<Snapshot> {
        let index = self.writes.iter().position(|(_, priority)| *priority == Priority::Replaceable)?;
        self.writes.remove(index).map(|(snapshot, _)| *snapshot)
    }

    /// The next task that can be tried now. Removals come first: they make room.
    fn next(&mut self, now: Instant) -> Option<Task> {
        let removal = self.removals.pop_front().map(Task::Remove);
        let task = removal.or_else(|| {
            let waits = self.full_until.is_some_and(|until| now < until);
            let (snapshot, priority) = if waits { None } else { self.writes.pop_front() }?;
            Some(Task::Write(snapshot, priority))
        })?;
        self.busy = true;
        Some(task)
    }
}

/// The thread's side.
struct Worker<F> {
    shared: Arc<Shared>,
    place: Place,
    retry: Duration,
    tell: F,
    /// The full disk was told, and nothing was written since.
    full_told: bool,
}

impl<F: FnMut(Outcome)> Worker<F> {
    fn run(mut self) {
        while let Some(task) = self.wait_for_task() {
            match task {
                Task::Write(snapshot, priority) => self.write(snapshot, priority),
                Task::Remove(name) => self.remove(name),
            }
            self.shared.lock().busy = false;
            self.shared.changed.notify_all();
        }
    }

    /// `None` when the writer closes.
    fn wait_for_task(&self) -> Option<Task> {
        let mut queue = self.shared.lock();
        loop {
            if queue.closing {
                return None;
            }
            let now = Instant::now();
            if let Some(task) = queue.next(now) {
                return Some(task);
            }
            let limit = queue.full_until.filter(|_| !queue.writes.is_empty()).map(|until| until - now);
            queue = self.shared.wait(queue, limit);
        }
    }

    fn write(&mut self, snapshot: Box<Snapshot>, priority: Priority) {
        let step = snapshot.about.step;
        let result = self.place.write(&snapshot);
        let full = matches!(&result, Err(error) if error.is_full());
        self.shared.lock().full_until = full.then(|| Instant::now() + self.retry);
        let told = std::mem::replace(&mut self.full_told, full);
        match result {
            Ok(written) => (self.tell)(Outcome::Written(written)),
            Err(error) if full => {
                if !told {
                    self.tell_failed(step, &error);
                }
                self.give_back(snapshot, priority);
            }
            Err(error) => self.tell_failed(step, &error),
        }
    }

    fn tell_failed(&mut self, step: u64, error: &Error) {
        (self.tell)(Outcome::Failed { step, reason: error.to_string(), full: error.is_full() });
    }

    /// Puts a snapshot that found no room back in front, unless one that came meanwhile takes its place.
    fn give_back(&self, snapshot: Box<Snapshot>, priority: Priority) {
        let mut queue = self.shared.lock();
        if priority == Priority::Urgent || queue.writes.is_empty() {
            queue.writes.push_front((snapshot, priority));
        }
    }

    fn remove(&mut self, name: Name) {
        let result = self.place.remove(name);
        // There may be room now.
        self.shared.lock().full_until = None;
        match result {
            Ok(()) => (self.tell)(Outcome::Removed(name)),
            Err(error) => (self.tell)(Outcome::NotRemoved { name, reason: error.to_string() }),
        }
    }
}
