//! A flight recorder: the last events of a worker, shown when it is lost.

use std::collections::VecDeque;

use crate::cluster::time::Timestamp;

/// Events that are kept.
const KEPT: usize = 16;

/// The last events of a worker.
#[derive(Debug, Default)]
pub struct Recorder(VecDeque<(Timestamp, String)>);

impl Recorder {
    /// Notes an event; the oldest goes.
    pub fn note(&mut self, now: Timestamp, what: String) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now, what));
    }

    /// One line each, with the seconds before `now`.
    pub fn lines(&self, now: Timestamp) -> Vec<String> {
        let line =
            |(time, what): &(Timestamp, String)| format!("{:7.1} s before: {what}", now.since(*time).as_secs_f64());
        self.0.iter().map(line).collect()
    }
}
