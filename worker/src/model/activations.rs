//! A lane's working memory: values between layers, gradients in flight, and what layers note for the way back.

use lockstep_kernels::device::{Device, Memory};

use super::Model;
use super::graph::Placed;
use super::plan::{NoteSlots, SlotId};
use crate::layers::MAX_INPUTS;

/// Slots; one is empty only while a layer writes to it.
pub(super) type Slots<D> = [Option<<D as Memory>::Buffer<f32>>];

/// Memory for one micro-batch at a time, laid out by the model's plan.
pub struct Activations<D: Device> {
    slots: Vec<Option<D::Buffer<f32>>>,
    notes: Notes<D>,
}

/// Slots of what layers note.
pub(super) struct Notes<D: Device> {
    choices: Vec<D::Buffer<u8>>,
    moments: Vec<D::Buffer<f32>>,
    /// For what a layer that runs again has told of statistics before.
    statistics: D::Buffer<f32>,
}

impl<D: Device> Notes<D> {
    /// One layer's.
    pub fn of(&mut self, placed: &Placed, slots: NoteSlots, device: &D, samples: usize) -> NotesMut<'_, D> {
        let (choices, moments) = (placed.memo.choices_len(device, samples), placed.memo.moments_len(device, samples));
        NotesMut {
            choices: D::view_mut(&mut self.choices[slots.choices], 0..choices),
            moments: D::view_mut(&mut self.moments[slots.moments], 0..moments),
            statistics: &mut self.statistics,
        }
    }
}

/// What one layer notes.
pub(super) struct NotesMut<'a, D: Device> {
    pub choices: D::ViewMut<'a, u8>,
    pub moments: D::ViewMut<'a, f32>,
    /// Statistics that nobody reads.
    pub statistics: &'a mut D::Buffer<f32>,
}

impl<D: Device> Activations<D> {
    /// Memory for micro-batches of up to `samples` samples.
    pub fn new(device: &D, model: &Model<D>, samples: usize) -> Self {
        let plan = model.plan();
        let slot = |slot| Some(device.zeros(model.slot_len(slot, device, samples)));
        let choices = |slot| device.zeros(model.choices_len(slot, device, samples));
        let moments = |slot| device.zeros(model.moments_len(slot, device, samples));
        let notes = Notes {
            choices: plan.choices.iter().map(choices).collect(),
            moments: plan.moments.iter().map(moments).collect(),
            statistics: device.zeros(model.statistics_again(plan)),
        };
        Self { slots: plan.slots.iter().map(slot).collect(), notes }
    }

    /// Where the caller writes the micro-batch.
    pub fn input(&mut self, device: &D, model: &Model<D>, samples: usize) -> D::ViewMut<'_, f32> {
        let len = device.activation_len(samples, model.input_features());
        let slot = model.plan().forward.values[0];
        D::view_mut(self.slots[slot].as_mut().expect("no layer runs"), 0..len)
    }

    /// The model's output and the place for the loss' gradient behind it.
    pub fn output(&mut self, device: &D, model: &Model<D>, samples: usize) -> (D::View<'_, f32>, D::ViewMut<'_, f32>) {
        let len = device.activation_len(samples, model.output_features());
        let (value, gradient) = model.output_slots();
        let [value, gradient] =
            self.slots.get_disjoint_mut([value, gradient]).expect("a gradient has a slot of its own");
        let value: &D::Buffer<f32> = value.as_ref().expect("no layer runs");
        let gradient = gradient.as_mut().expect("no layer runs");
        (D::view(value, 0..len), D::view_mut(gradient, 0..len))
    }

    /// Takes a slot out, to be written to while others are read.
    pub(super) fn take(&mut self, slot: SlotId) -> D::Buffer<f32> {
        self.slots[slot].take().expect("a layer writes to slots that it does not read")
    }

    /// Puts it back.
    pub(super) fn put(&mut self, slot: SlotId, buffer: D::Buffer<f32>) {
        self.slots[slot] = Some(buffer);
    }

    /// A slot's first `len` elements.
    pub(super) fn view(&self, slot: SlotId, len: usize) -> D::View<'_, f32> {
        view_of::<D>(&self.slots, slot, len)
    }

    /// The slots to read from and the notes to write, at once.
    pub(super) fn parts(&mut self) -> (&Slots<D>, &mut Notes<D>) {
        (&self.slots, &mut self.notes)
    }
}

/// A slot's first `len` elements.
pub(super) fn view_of<D: Device>(slots: &Slots<D>, slot: SlotId, len: usize) -> D::View<'_, f32> {
    D::view(slots[slot].as_ref().expect("a layer reads slots that it does not write to"), 0..len)
}

/// Buffers of up to [`MAX_INPUTS`] slots that were taken out.
pub(super) type Taken<D> = [Option<(SlotId, <D as Memory>::Buffer<f32>)>; MAX_INPUTS];
