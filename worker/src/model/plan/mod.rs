//! Which memory each value, each gradient and each layer's notes lie in, planned once: what is never alive at the same
//! time shares a slot.
//!
//! A plan may save memory by running a part of the nodes a second time on the way back (`model.recompute`), so that what
//! they write the first time stays no longer than the way forward reads it.

mod cuts;
mod planner;
mod schedule;
mod stays;
#[cfg(test)]
mod tests;

use std::iter;

use super::graph::{Links, ValueId};
use crate::layers::{Keeps, MAX_INPUTS, Memo};
use cuts::{Segments, ways_to_cut};
use planner::Planner;

pub use stays::{Slot, SlotId};

/// What the plan needs to know of a node.
pub struct Use<'a> {
    /// Values read and written.
    pub links: &'a Links,
    /// What it reads on the way back.
    pub keeps: Keeps,
    /// What it notes on the way forward for the way back.
    pub memo: Memo,
    /// The input that gets the gradient behind the node.
    pub passes_on: Option<usize>,
    /// Whether it adds to gradients by itself.
    pub adds: bool,
    /// Whether it has a way back at all: a gradient of its own, or of something before it.
    pub differentiates: bool,
}

impl Use<'_> {
    /// Values that its way back reads.
    fn kept(&self) -> impl Iterator<Item = ValueId> {
        let inputs = self.links.inputs().filter(|_| self.keeps.inputs);
        let all = inputs.chain(self.keeps.y.then_some(self.links.output));
        all.filter(|_| self.differentiates)
    }

    /// Bytes that it writes for one sample.
    fn bytes(&self, features: &[usize]) -> usize {
        size_of::<f32>() * (features[self.links.output] + self.memo.numbers()) + self.memo.choices
    }
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

impl Way {
    /// The same with other slots.
    fn map(self, slot: impl Fn(SlotId) -> SlotId) -> Self {
        match self {
            Self::Write(to) => Self::Write(slot(to)),
            Self::Add(to) => Self::Add(slot(to)),
            Self::AddFrom(to, from) => Self::AddFrom(slot(to), slot(from)),
            Self::AddBehind(to) => Self::AddBehind(slot(to)),
            Self::None | Self::Becomes => self,
        }
    }
}

/// What lies in a slot of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A value between nodes.
    Value(ValueId),
    /// The gradient of one.
    Gradient(ValueId),
}

impl Held {
    /// The value that is as long.
    pub fn value(self) -> ValueId {
        match self {
            Self::Value(value) | Self::Gradient(value) => value,
        }
    }
}

/// Where values and notes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Slot of each value.
    pub values: Vec<SlotId>,
    /// Slots of each node's notes.
    pub notes: Vec<NoteSlots>,
}

/// Where a node's notes lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoteSlots {
    /// Its choices.
    pub choices: SlotId,
    /// Its moments.
    pub moments: SlotId,
}

/// A step of the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This node runs forward once more, from [`Plan::back`] to there.
    Again(usize),
    /// This node's way back, which reads from [`Plan::back`].
    Back(usize),
}

/// The whole plan.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// For values and gradients.
    pub slots: Vec<Slot<Held>>,
    /// For the choices that nodes note.
    pub choices: Vec<Slot<usize>>,
    /// For the moments that nodes note.
    pub moments: Vec<Slot<usize>>,
    /// Where all of it lies on the way forward.
    pub forward: Places,
    /// Where the way back finds it: at the same places, but for what it writes again.
    pub back: Places,
    /// The way back.
    pub way_back: Vec<Step>,
    /// Slot of each value's gradient; none where there is none.
    pub gradients: Vec<Option<SlotId>>,
    /// How each node gives the gradients of its inputs.
    pub ways: Vec<[Way; MAX_INPUTS]>,
}

impl Plan {
    /// Runs no node twice. For values of these `features` a sample; the first is the model's input, the last node's is
    /// its output.
    pub fn new(features: &[usize], nodes: &[Use<'_>]) -> Self {
        Self::of_segments(features, nodes, &iter::once(0..nodes.len()).collect())
    }

    /// The same with a gradient of the model's input. All nodes differentiate.
    pub fn reaching_input(features: &[usize], nodes: &[Use<'_>]) -> Self {
        Planner::new(features, nodes, &iter::once(0..nodes.len()).collect()).reaching_input().plan()
    }

    /// The same in the least memory that running nodes again can do with. Where that saves nothing, none does.
    pub fn recomputing(features: &[usize], nodes: &[Use<'_>]) -> Self {
        let whole = Self::new(features, nodes);
        let ways = ways_to_cut(features, nodes);
        let plans = ways.iter().map(|segments| Self::of_segments(features, nodes, segments));
        plans.fold(whole, |best, plan| if plan.bytes() < best.bytes() { plan } else { best })
    }

    fn of_segments(features: &[usize], nodes: &[Use<'_>], segments: &Segments) -> Self {
        Planner::new(features, nodes, segments).plan()
    }

    /// Values a sample in all slots.
    pub fn features(&self) -> usize {
        size(&self.slots)
    }

    /// Nodes that run twice.
    pub fn again(&self) -> impl Iterator<Item = usize> {
        self.way_back.iter().filter_map(|step| match step {
            Step::Again(index) => Some(*index),
            Step::Back(_) => None,
        })
    }

    /// Of all slots, for one sample.
    fn bytes(&self) -> usize {
        size_of::<f32>() * (self.features() + size(&self.moments)) + size(&self.choices)
    }
}

/// Of all slots, as the plan counts.
fn size<T>(slots: &[Slot<T>]) -> usize {
    slots.iter().map(|slot| slot.size).sum()
}
