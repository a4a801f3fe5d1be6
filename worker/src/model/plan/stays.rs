//! From things that stay in memory for a time to the slots that they lie in.
//!
//! The largest thing goes first; each into the smallest slot that is free for all of its time, else into a new one: no
//! slot ever grows ("greedy by size" for shared objects in Pisarchyk & Lee 2020, "Efficient Memory Management for Deep
//! Neural Net Inference").

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Place of a slot among all of its kind.
pub type SlotId = usize;

/// Place of a stay among all of its kind.
pub(super) type StayId = usize;

/// A place for one thing after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot<T> {
    /// All that lie in it at one time or another, the largest first; of equal ones the first that is written.
    pub(super) holds: Vec<T>,
    /// As the plan counts, that of the largest.
    pub(super) size: usize,
}

impl<T> Slot<T> {
    /// What makes it as long as it is.
    pub fn largest(&self) -> &T {
        &self.holds[0]
    }

    /// The largest of the lengths that `len` gives. A device's length need not grow with what the plan counts.
    pub fn elements(&self, len: impl Fn(&T) -> usize) -> usize {
        self.holds.iter().map(len).max().unwrap_or(0)
    }
}

/// A thing in memory, from the time at which it is written to that at which it is read last.
struct Stay<T> {
    what: T,
    size: usize,
    from: usize,
    until: usize,
}

/// All things that want a slot of one kind.
pub(super) struct Stays<T>(Vec<Stay<T>>);

/// Slots, and the one of each stay.
pub(super) struct Housed<T> {
    pub slots: Vec<Slot<T>>,
    pub of: Vec<SlotId>,
}

impl<T: Copy> Stays<T> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Something is written; it is read until then at least.
    pub fn begin(&mut self, what: T, size: usize, (from, until): (usize, usize)) -> StayId {
        self.0.push(Stay { what, size, from, until: until.max(from) });
        self.0.len() - 1
    }

    /// It is read at this time as well.
    pub fn prolong(&mut self, stay: StayId, until: usize) {
        self.0[stay].until = self.0[stay].until.max(until);
    }

    /// Deals slots.
    pub fn housed(&self) -> Housed<T> {
        let mut by_size: Vec<StayId> = (0..self.0.len()).collect();
        by_size.sort_by_key(|id| Reverse(self.0[*id].size));
        let mut housed = Housed { slots: Vec::new(), of: vec![0; self.0.len()] };
        // When each slot is taken: from when until when.
        let mut taken: Vec<BTreeMap<usize, usize>> = Vec::new();
        for id in by_size {
            let Stay { what, size, from, until } = self.0[id];
            let is_free = |times: &BTreeMap<usize, usize>| {
                times.range(..=until).next_back().is_none_or(|(_, taken_until)| *taken_until < from)
            };
            let slot = taken.iter().rposition(is_free).unwrap_or_else(|| {
                taken.push(BTreeMap::new());
                housed.slots.push(Slot { holds: Vec::new(), size });
                taken.len() - 1
            });
            taken[slot].insert(from, until);
            housed.slots[slot].holds.push(what);
            housed.of[id] = slot;
        }
        housed
    }
}
