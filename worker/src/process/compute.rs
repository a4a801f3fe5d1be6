//! The compute thread, as the shell holds it: tasks go in, events come out.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use lockstep_proto::identity::Generation;
use tokio::sync::mpsc::UnboundedSender;

use crate::control::{Event, StopReason, TrainerEvent};
use crate::trainer::{self, Progress, Seat, Signals, Task};

/// A handle of the compute thread; it goes on until the process ends.
pub(super) struct Compute {
    tasks: Sender<Task>,
    /// Hangs up when the thread ends.
    ended: Receiver<()>,
    /// Of the newest generation.
    signals: Option<(Generation, Arc<Signals>)>,
}

impl Compute {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses it.
    pub(super) fn start(seat: Seat) -> std::io::Result<Self> {
        let (tasks, inbox) = mpsc::channel();
        let (ends, ended) = mpsc::channel();
        std::thread::Builder::new().name("trainer".into()).spawn(move || {
            let _guard = ReportPanic { events: seat.events.clone(), progress: seat.progress.clone() };
            trainer::run(seat, inbox);
            drop(ends);
        })?;
        Ok(Self { tasks, ended, signals: None })
    }

    /// Hands a task over.
    pub(super) fn order(&mut self, task: Task) {
        if let Task::Enter(entry, signals) = &task {
            self.signals = Some((entry.generation, signals.clone()));
        }
        // A thread that has failed has told so.
        let _ = self.tasks.send(task);
    }

    /// Sets the stop-wanted bit of a generation, if it is the newest.
    pub(super) fn want_stop(&self, generation: Generation, why: StopReason) {
        if let Some(signals) = self.signals_of(generation) {
            signals.want_stop(why);
        }
    }

    /// Has a generation left, if it is the newest.
    pub(super) fn abort(&self, generation: Generation) {
        if let Some(signals) = self.signals_of(generation) {
            signals.abort();
        }
    }

    /// Lets the thread end: it writes and removes what it was ordered to, if that takes no longer than this.
    pub(super) fn finish(self, limit: Duration) {
        let Self { tasks, ended, signals } = self;
        drop(tasks);
        if let Some((_, signals)) = signals {
            signals.abort();
        }
        // Nothing is ever sent.
        let _ = ended.recv_timeout(limit);
    }

    fn signals_of(&self, wanted: Generation) -> Option<&Signals> {
        self.signals.as_ref().filter(|(generation, _)| *generation == wanted).map(|(_, signals)| &**signals)
    }
}

/// Tells control if the compute thread ends by a panic, and the log what it did before.
struct ReportPanic {
    events: UnboundedSender<Event>,
    progress: Arc<Progress>,
}

impl Drop for ReportPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.progress.recent().iter().for_each(|line| eprintln!("  {line}"));
            let reason = "the compute thread panicked; its message is in the worker's log".into();
            let _ = self.events.send(Event::Trainer(TrainerEvent::Failed { reason, bad_input: false }));
        }
    }
}
