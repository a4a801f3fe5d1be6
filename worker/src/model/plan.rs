//! Which memory each value and each gradient lies in, planned once: values that are never alive at the same time
//! share a slot.
//!
//! Time runs over the nodes forward, then over the loss, then over the nodes backward: node i of n runs at time i, the
//! loss at n, and node i's way back at 2n − i.

use lockstep_kernels::device::Memory;

use super::graph::{Links, ValueId};
use crate::layers::{Keeps, MAX_INPUTS};

/// Place of a slot among all.
pub type SlotId = usize;

/// What the plan needs to know of a node.
pub struct Use<'a> {
    /// Values read and written.
    pub links: &'a Links,
    /// What it reads on the way back.
    pub keeps: Keeps,
    /// The input that gets the gradient behind the node.
    pub passes_on: Option<usize>,
    /// Whether it adds to gradients by itself.
    pub adds: bool,
    /// Whether it has a way back at all: a gradient of its own, or of something before it.
    pub differentiates: bool,
}

/// How a node's way back gives the gradient of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nobody needs it.
    None,
    /// It is written to this slot.
    Write(SlotId),
    /// It is added to what another node has written there.
    Add(SlotId),
    /// It is written to the second slot, and from there added to the first.
    AddFrom(SlotId, SlotId),
    /// It is what the node leaves in the gradient behind it, which becomes the input's.
    Becomes,
    /// It is what the node leaves in the gradient behind it, and is added to this slot.
    AddBehind(SlotId),
}

/// A place for one value or gradient after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Features of each of them. A device's length need not grow with the features.
    pub features: Vec<usize>,
}

impl Slot {
    /// Elements for so many samples.
    pub fn elements(&self, memory: &impl Memory, samples: usize) -> usize {
        self.features.iter().map(|features| memory.activation_len(samples, *features)).max().unwrap_or(0)
    }

    fn most_features(&self) -> usize {
        self.features.iter().copied().max().unwrap_or(0)
    }
}

/// The whole plan.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    pub slots: Vec<Slot>,
    /// Slot of each value.
    pub values: Vec<SlotId>,
    /// Slot of each value's gradient; none where there is none.
    pub gradients: Vec<Option<SlotId>>,
    /// How each node gives the gradients of its inputs.
    pub ways: Vec<[Way; MAX_INPUTS]>,
}

impl Plan {
    /// For values of these `features` a sample; the first is the model's input, the last node's is its output.
    pub fn new(features: &[usize], nodes: &[Use<'_>]) -> Self {
        Planner::new(features, nodes).plan()
    }

    /// Values a sample in all slots.
    pub fn features(&self) -> usize {
        self.slots.iter().map(Slot::most_features).sum()
    }
}

struct Planner<'a> {
    features: &'a [usize],
    nodes: &'a [Use<'a>],
    /// Last time at which each value is read.
    read_until: Vec<usize>,
    slots: Vec<Slot>,
    free: Vec<SlotId>,
    values: Vec<Option<SlotId>>,
    gradients: Vec<Option<SlotId>>,
}

impl<'a> Planner<'a> {
    fn new(features: &'a [usize], nodes: &'a [Use<'a>]) -> Self {
        let back = |node: usize| 2 * nodes.len() - node;
        // The loss reads the output.
        let mut read_until = vec![0; features.len()];
        if let Some(last) = nodes.last() {
            read_until[last.links.output] = nodes.len();
        }
        for (index, node) in nodes.iter().enumerate() {
            let until = if node.keeps.inputs && node.differentiates { back(index) } else { index };
            node.links.inputs().for_each(|value| read_until[value] = read_until[value].max(until));
            if node.keeps.y && node.differentiates {
                read_until[node.links.output] = read_until[node.links.output].max(back(index));
            }
        }
        let (values, gradients) = (vec![None; features.len()], vec![None; features.len()]);
        Self { features, nodes, read_until, slots: Vec::new(), free: Vec::new(), values, gradients }
    }

    fn plan(mut self) -> Plan {
        self.place_value(0);
        for index in 0..self.nodes.len() {
            self.place_value(self.nodes[index].links.output);
            self.free_values(index);
        }
        let mut ways = vec![[Way::None; MAX_INPUTS]; self.nodes.len()];
        let mut all_gradients = vec![None; self.features.len()];
        if let Some(last) = self.nodes.last() {
            let output = last.links.output;
            self.gradients[output] = Some(self.take(self.features[output]));
            all_gradients[output] = self.gradients[output];
        }
        self.free_values(self.nodes.len());
        for index in (0..self.nodes.len()).rev() {
            ways[index] = self.way_back(index);
            for (all, own) in all_gradients.iter_mut().zip(&self.gradients) {
                *all = own.or(*all);
            }
            self.free_values(2 * self.nodes.len() - index);
        }
        let values = self.values.into_iter().map(|slot| slot.unwrap_or_default()).collect();
        Plan { slots: self.slots, values, gradients: all_gradients, ways }
    }

    fn place_value(&mut self, value: ValueId) {
        self.values[value] = Some(self.take(self.features[value]));
    }

    /// Values that nobody reads after this time give their slots back. One that nobody ever reads is kept until then.
    fn free_values(&mut self, time: usize) {
        for value in 0..self.features.len() {
            let written = self.values[value].is_some();
            if written && self.read_until[value] == time {
                self.free.extend(self.values[value]);
            }
        }
    }

    /// Gradients before a node, from the one behind it, whose slot is free afterwards unless it is passed on.
    fn way_back(&mut self, index: usize) -> [Way; MAX_INPUTS] {
        let node = &self.nodes[index];
        let mut ways = [Way::None; MAX_INPUTS];
        let Some(behind) = self.gradients[node.links.output].take() else { return ways };
        let mut passed_on = false;
        let mut scratch = Vec::new();
        for (place, value) in node.links.inputs().enumerate() {
            if !self.has_gradient(value) {
                continue;
            }
            ways[place] = match (self.gradients[value], node.passes_on == Some(place)) {
                (None, true) => {
                    passed_on = true;
                    self.gradients[value] = Some(behind);
                    Way::Becomes
                }
                (Some(slot), true) => Way::AddBehind(slot),
                (None, false) => {
                    let slot = self.take(self.features[value]);
                    self.gradients[value] = Some(slot);
                    Way::Write(slot)
                }
                (Some(slot), false) if node.adds => Way::Add(slot),
                (Some(slot), false) => {
                    let from = self.take(self.features[value]);
                    scratch.push(from);
                    Way::AddFrom(slot, from)
                }
            };
        }
        self.free.extend(scratch);
        if !passed_on {
            self.free.push(behind);
        }
        ways
    }

    /// Whether something before this value has parameters.
    fn has_gradient(&self, value: ValueId) -> bool {
        self.nodes.iter().any(|node| node.links.output == value && node.differentiates)
    }

    /// A free slot: the smallest that is large enough, else the largest, which grows, else a new one.
    fn take(&mut self, features: usize) -> SlotId {
        let size = |slot: &&SlotId| self.slots[**slot].most_features();
        let best = self.free.iter().filter(|slot| size(slot) >= features).min_by_key(size);
        let best = best.or_else(|| self.free.iter().max_by_key(size)).copied();
        let slot = best.unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.free.retain(|free| *free != slot);
        self.slots[slot].features.push(features);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Keeps = Keeps { inputs: true, y: true };
    const NOTHING: Keeps = Keeps { inputs: false, y: false };

    fn node(links: &Links, keeps: Keeps) -> Use<'_> {
        Use { links, keeps, passes_on: None, adds: false, differentiates: true }
    }

    #[test]
    fn a_chain_keeps_its_values_and_has_two_gradients_at_a_time() {
        let links: Vec<Links> = (0..4).map(|i| Links::new(&[i], i + 1)).collect();
        let nodes: Vec<Use<'_>> = links.iter().map(|links| node(links, ALL)).collect();
        let plan = Plan::new(&[10, 20, 30, 40, 5], &nodes);
        // Five values and, since nobody reads the output any more once the loss has, few gradients beside them.
        assert_eq!(plan.values, [0, 1, 2, 3, 4]);
        assert_eq!(plan.ways[0][0], Way::None, "the samples need no gradient");
        assert!(plan.ways[1..].iter().all(|ways| matches!(ways[0], Way::Write(_))));
        assert!(plan.slots.len() <= 7, "{plan:?}");
    }

    #[test]
    fn values_that_no_way_back_reads_share_slots() {
        let links: Vec<Links> = (0..6).map(|i| Links::new(&[i], i + 1)).collect();
        let nodes: Vec<Use<'_>> = links.iter().map(|links| node(links, NOTHING)).collect();
        let plan = Plan::new(&[8; 7], &nodes);
        assert!(plan.slots.len() <= 3, "{plan:?}");
        for index in 0..6 {
            assert_ne!(plan.values[index], plan.values[index + 1]);
        }
    }

    #[test]
    fn a_residual_block_passes_its_gradient_on_and_adds_the_other() {
        // 0 → stem → 1 → body → 2; (2, 1) → sum → 3, which passes its gradient on to 1.
        let links = [Links::new(&[0], 1), Links::new(&[1], 2), Links::new(&[2, 1], 3)];
        let mut nodes: Vec<Use<'_>> = links.iter().map(|links| node(links, ALL)).collect();
        nodes[2].passes_on = Some(1);
        let plan = Plan::new(&[4, 4, 4, 4], &nodes);
        assert_eq!(plan.ways[2][1], Way::Becomes);
        let behind = plan.gradients[3].unwrap();
        assert_eq!(plan.gradients[1], Some(behind));
        assert!(matches!(plan.ways[1][0], Way::AddFrom(to, from) if to == behind && from != behind), "{plan:?}");
        nodes[1].adds = true;
        assert_eq!(Plan::new(&[4, 4, 4, 4], &nodes).ways[1][0], Way::Add(behind));
    }
}
