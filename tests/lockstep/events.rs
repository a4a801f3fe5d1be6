//! What `watch --json` and `train --json` tell, as it comes.

use std::time::Duration;

use serde_json::Value;

use super::process::{Ended, Process};

/// A stream of events about one job.
pub struct Events {
    /// Who tells.
    pub process: Process,
    seen: Vec<Value>,
}

impl Events {
    /// Of a process that prints them.
    pub fn of(process: Process) -> Self {
        Self { process, seen: Vec::new() }
    }

    /// Reads on until such an event; nothing if the stream ends before.
    pub fn find(&mut self, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        loop {
            let line = self.process.find_line(|line| line.starts_with('{'))?;
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.seen.push(event.clone());
            if is_it(&event) {
                return Some(event);
            }
        }
    }

    /// Waits until this many steps are committed.
    pub fn await_step(&mut self, step: u64) {
        self.find(|event| committed(event) >= Some(step)).unwrap_or_else(|| panic!("it ended before step {step}"));
    }

    /// Waits until the job is so; gives the job.
    pub fn await_state(&mut self, state: &str) -> Value {
        let found = self.find(|event| event["kind"] == "job" && event["state"] == state);
        found.unwrap_or_else(|| panic!("it was never {state}"))
    }

    /// Waits until as many workers have lanes.
    pub fn await_workers(&mut self, workers: usize) {
        let dealt = |event: &Value| {
            let placed = event["placements"].as_array().into_iter().flatten();
            placed.filter(|placed| placed["lanes"].as_u64() > Some(0)).count()
        };
        let found = self.find(|event| event["state"] == "running" && dealt(event) == workers);
        found.unwrap_or_else(|| panic!("there were never {workers} workers"));
    }

    /// Waits until workers that joined are prepared, and the generation ends to take them in.
    pub fn await_joiners(&mut self) {
        let stops = |event: &Value| event["line"].as_str().is_some_and(|line| line.contains("ends after the step in"));
        self.find(stops).unwrap_or_else(|| panic!("nobody joined"));
    }

    /// Reads on for this time.
    pub fn pass(&mut self, time: Duration) {
        self.process.read_for(time);
    }

    /// All events so far of one kind.
    pub fn seen(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.seen.iter().filter(move |event| event["kind"] == *kind)
    }

    /// Reads on until it has ended.
    pub fn wait(self) -> Ended {
        self.process.wait()
    }
}

/// Committed steps, if an event tells of them.
fn committed(event: &Value) -> Option<u64> {
    let step = if event["kind"] == "step" { &event["step"] } else { &event["progress"]["step"] };
    step.as_u64()
}
