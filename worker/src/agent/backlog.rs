//! What an agent has to say while nobody listens, and what may have been lost with a stream.

use std::collections::{BTreeMap, VecDeque};

use lockstep_proto::wire::{self, agent_event::Event};

/// Log messages kept while there is no coordinator; of more, only the count.
const LOGS: usize = 4096;
/// Exits that are said again on a new stream, since the last one may have swallowed them.
const EXITS: usize = 64;

/// Events in order, for the next stream.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Event>,
    logs: usize,
    /// Lines that were not kept, by worker.
    dropped: BTreeMap<String, usize>,
    exits: VecDeque<wire::WorkerExited>,
}

impl Backlog {
    /// Remembers an exit that was said.
    pub(super) fn said(&mut self, event: &Event) {
        if let Event::WorkerExited(exited) = event {
            if self.exits.len() == EXITS {
                self.exits.pop_front();
            }
            self.exits.push_back(exited.clone());
        }
    }

    /// Keeps an event that can't be said now.
    pub(super) fn keep(&mut self, event: Event) {
        if let Event::LogLines(lines) = &event {
            if self.logs == LOGS {
                *self.dropped.entry(lines.worker.clone()).or_default() += lines.lines.len();
                return;
            }
            self.logs += 1;
        }
        self.waiting.push_back(event);
    }

    /// All that is to be said on a new stream.
    pub(super) fn take(&mut self) -> Vec<Event> {
        let again = self.exits.iter().cloned().map(Event::WorkerExited);
        let mut events: Vec<Event> = again.chain(self.waiting.drain(..)).collect();
        self.logs = 0;
        for (worker, count) in std::mem::take(&mut self.dropped) {
            let line = format!("({count} more lines were dropped while the coordinator was away)");
            events.push(Event::LogLines(wire::LogLines { worker, lines: vec![line] }));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_may_be_dropped_with_a_note_but_exits_not() {
        let mut backlog = Backlog::default();
        let exited = |worker: &str| wire::WorkerExited { worker: worker.into(), ..Default::default() };
        backlog.said(&Event::WorkerExited(exited("w1")));
        for _ in 0..LOGS + 3 {
            backlog.keep(Event::LogLines(wire::LogLines { worker: "w2".into(), lines: vec!["line".into()] }));
        }
        backlog.keep(Event::WorkerExited(exited("w2")));
        let events = backlog.take();
        assert_eq!(events.len(), LOGS + 3);
        assert_eq!(events[0], Event::WorkerExited(exited("w1")));
        assert_eq!(events[LOGS + 1], Event::WorkerExited(exited("w2")));
        let Event::LogLines(note) = &events[LOGS + 2] else { panic!("no note") };
        assert!(note.lines[0].starts_with("(3 more lines"), "{note:?}");
        assert_eq!(backlog.take().len(), 1, "exits are said again on every stream");
    }
}
