//! How much memory a lane's values take on a device, and for which layer, before any of it is there.

use lockstep_kernels::device::Device;

use super::Model;
use super::graph::Placed;
use super::plan::SlotId;

/// Memory for one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Such as "the activations of layer conv1".
    pub what: String,
    /// How much.
    pub bytes: usize,
}

impl<D: Device> Model<D> {
    /// What [`super::Activations`] of so many samples take: the slots, each named by the largest that ever lies in it,
    /// and what layers note.
    pub fn needs(&self, device: &D, samples: usize) -> Vec<Need> {
        let slots = self.plan.slots.iter().enumerate().map(|(slot, place)| Need {
            what: self.largest_in(slot),
            bytes: size_of::<f32>() * place.elements(device, samples),
        });
        let notes = self.placed.iter().map(|Placed { name, memo, .. }| Need {
            what: format!("what layer {name} notes for the way back"),
            bytes: memo.choices_len(device, samples) + size_of::<f32>() * memo.moments_len(device, samples),
        });
        slots.chain(notes).filter(|need| need.bytes > 0).collect()
    }

    /// Whose value or gradient makes the slot as long as it is.
    fn largest_in(&self, slot: SlotId) -> String {
        let features = |value: &usize| self.shapes[*value].features();
        let values = (0..self.shapes.len()).filter(|&value| self.plan.values[value] == slot);
        let gradients = (0..self.shapes.len()).filter(|&value| self.plan.gradients[value] == Some(slot));
        let (value, gradient) = (values.max_by_key(features), gradients.max_by_key(features));
        // Of each layer's value there is one slot, where there may be many gradients in turn.
        if value.as_ref().map(features) >= gradient.as_ref().map(features) {
            format!("the activations {}", self.behind(value))
        } else {
            format!("the gradient of the activations {}", self.behind(gradient))
        }
    }

    fn behind(&self, value: Option<usize>) -> String {
        let writes = |placed: &&Placed| Some(placed.links.output) == value;
        self.placed
            .iter()
            .find(writes)
            .map_or("before the first layer".into(), |placed| format!("of layer {}", placed.name))
    }
}
