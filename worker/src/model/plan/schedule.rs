//! What happens when in a pass, and until when what is written there is read.
//!
//! Time runs over the nodes forward, then over the loss, then over the steps of the way back: node i of n runs at time
//! i, the loss at n, and step k of the way back at n + 1 + k.

use std::ops::Range;

use super::cuts::Segments;
use super::{Step, Use};

/// Until when something is read as it was written first, and as it was written again; 0 where it is not.
#[derive(Clone, Copy, Default)]
struct Until {
    first: usize,
    again: usize,
}

/// A pass in order of time.
pub(super) struct Schedule {
    /// Steps behind the loss.
    pub way_back: Vec<Step>,
    /// Of each value.
    values: Vec<Until>,
    /// Of each node's notes.
    notes: Vec<Until>,
}

impl Schedule {
    /// All segments but the last are run again. `values`: how many there are.
    pub fn new(values: usize, nodes: &[Use<'_>], segments: &Segments) -> Self {
        let way_back = way_back(values, nodes, segments);
        let (mut again, mut written_again) = (vec![false; nodes.len()], vec![false; values]);
        for step in &way_back {
            if let Step::Again(index) = *step {
                again[index] = true;
                written_again[nodes[index].links.output] = true;
            }
        }
        let mut until = vec![Until::default(); values];
        for (index, node) in nodes.iter().enumerate() {
            node.links.inputs().for_each(|value| until[value].first = index);
        }
        if let Some(last) = nodes.last() {
            until[last.links.output].first = nodes.len();
        }
        let mut read = |value: usize, time| match written_again[value] {
            true => until[value].again = time,
            false => until[value].first = time,
        };
        let mut notes = vec![Until::default(); nodes.len()];
        for (time, step) in (nodes.len() + 1..).zip(&way_back) {
            match *step {
                Step::Again(index) => nodes[index].links.inputs().for_each(|value| read(value, time)),
                Step::Back(index) => {
                    nodes[index].kept().for_each(|value| read(value, time));
                    match (nodes[index].differentiates, again[index]) {
                        (true, true) => notes[index].again = time,
                        (true, false) => notes[index].first = time,
                        (false, _) => {}
                    }
                }
            }
        }
        Self { way_back, values: until, notes }
    }

    /// When a value is read last that is written at `time`.
    pub fn value_until(&self, value: usize, time: usize) -> usize {
        self.until(self.values[value], time)
    }

    /// When a node's notes are read last that are written at `time`.
    pub fn notes_until(&self, index: usize, time: usize) -> usize {
        self.until(self.notes[index], time)
    }

    fn until(&self, until: Until, time: usize) -> usize {
        let is_first = time < self.notes.len();
        time.max(if is_first { until.first } else { until.again })
    }
}

/// Segments from the last to the first, each but the last run again before its way back.
fn way_back(values: usize, nodes: &[Use<'_>], segments: &Segments) -> Vec<Step> {
    let mut steps = Vec::new();
    for (place, segment) in segments.iter().enumerate().rev() {
        if place + 1 < segments.len() {
            steps.extend(needed(values, nodes, segment.clone()).into_iter().map(Step::Again));
        }
        steps.extend(segment.clone().rev().map(Step::Back));
    }
    steps
}

/// The nodes of a segment that have to run again for its way back: those that note something, and those whose values
/// it reads, itself or through another of them. The last node is not among them: the next segment has kept its value,
/// and its notes are kept beside it.
fn needed(values: usize, nodes: &[Use<'_>], segment: Range<usize>) -> Vec<usize> {
    let mut read = vec![false; values];
    nodes[segment.clone()].iter().flat_map(Use::kept).for_each(|value| read[value] = true);
    let mut needed = Vec::new();
    for index in (segment.start..segment.end - 1).rev() {
        let node = &nodes[index];
        let notes = node.differentiates && !node.memo.is_empty();
        if notes || read[node.links.output] {
            needed.push(index);
            node.links.inputs().for_each(|value| read[value] = true);
        }
    }
    needed.reverse();
    needed
}
