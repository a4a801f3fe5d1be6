//! How much memory a lane's values take on a device, and for which layer, before any of it is there.

use lockstep_kernels::device::Device;

use super::Model;
use super::graph::{Placed, ValueId};
use super::plan::{Held, Plan, Slot};

/// Memory for one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Such as "the activations of layer conv1".
    pub what: String,
    /// How much.
    pub bytes: usize,
}

impl<D: Device> Model<D> {
    /// What [`super::Activations`] of so many samples take that a plan of this model lays out: the slots, each named by
    /// the largest that ever lies in it.
    pub fn needs(&self, plan: &Plan, device: &D, samples: usize) -> Vec<Need> {
        let numbers = |what, len| Need { what, bytes: size_of::<f32>() * len };
        let slots = plan.slots.iter().map(|slot| numbers(self.largest_in(slot), self.slot_len(slot, device, samples)));
        let choices = plan
            .choices
            .iter()
            .map(|slot| Need { what: self.noted_in(slot), bytes: self.choices_len(slot, device, samples) });
        let moments =
            plan.moments.iter().map(|slot| numbers(self.noted_in(slot), self.moments_len(slot, device, samples)));
        let again = numbers("the statistics of layers that run again".to_owned(), self.statistics_again(plan));
        slots.chain(choices).chain(moments).chain([again]).filter(|need| need.bytes > 0).collect()
    }

    /// Elements of a slot of values and gradients.
    pub(super) fn slot_len(&self, slot: &Slot<Held>, device: &D, samples: usize) -> usize {
        slot.elements(|held| self.value_len(device, samples, held.value()))
    }

    /// Bytes of a slot of choices.
    pub(super) fn choices_len(&self, slot: &Slot<usize>, device: &D, samples: usize) -> usize {
        slot.elements(|&index| self.placed[index].memo.choices_len(device, samples))
    }

    /// Elements of a slot of moments.
    pub(super) fn moments_len(&self, slot: &Slot<usize>, device: &D, samples: usize) -> usize {
        slot.elements(|&index| self.placed[index].memo.moments_len(device, samples))
    }

    /// Elements for the statistics of any layer that runs again.
    pub(super) fn statistics_again(&self, plan: &Plan) -> usize {
        plan.again().map(|index| self.placed[index].statistics.len()).max().unwrap_or(0)
    }

    /// Whose value or gradient makes the slot as long as it is.
    fn largest_in(&self, slot: &Slot<Held>) -> String {
        match *slot.largest() {
            Held::Value(value) => format!("the activations {}", self.behind(value)),
            Held::Gradient(value) => format!("the gradient of the activations {}", self.behind(value)),
        }
    }

    fn behind(&self, value: ValueId) -> String {
        let writes = |placed: &&Placed| placed.links.output == value;
        self.placed
            .iter()
            .find(writes)
            .map_or("before the first layer".into(), |placed| format!("of layer {}", placed.name))
    }

    /// Whose notes make the slot as long as it is.
    fn noted_in(&self, slot: &Slot<usize>) -> String {
        format!("what layer {} notes for the way back", self.placed[*slot.largest()].name)
    }
}
