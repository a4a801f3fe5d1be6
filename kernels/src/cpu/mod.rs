//! The CPU as a device: one thread, an instruction set and scratch memory.
//!
//! Activations lie in *groups* of 16 samples: `[⌈N/16⌉][features][16]`, so that one vector register holds one feature
//! of a group (`layout.rs` has the exception: up to 8 samples of many features). Samples beyond N in the last group are
//! *padding*: finite values with zero gradients.

mod buffer;
pub(crate) mod layout;
mod scratch;

use std::ops::Range;

pub(crate) use crate::device::assert_len;
use crate::device::{ActivationShape, Device, Element, Failure, Memory, Room};
pub use crate::simd::InstructionSet;
use crate::simd::{Isa, WIDTH};
pub use buffer::Buffer;
use layout::Layout;
pub(crate) use scratch::{Growing, Scratch};

/// A CPU thread as a device. Its scratch memory grows during the first step and is kept.
pub struct Cpu {
    pub(crate) isa: Isa,
    pub(crate) layout: Layout,
    pub(crate) scratch: Scratch,
}

impl Cpu {
    /// A device that computes with `set`.
    ///
    /// # Panics
    /// If this CPU lacks the instructions: ask [`InstructionSet::is_available`] first.
    pub fn new(set: InstructionSet) -> Cpu {
        let isa = Isa::new(set).unwrap_or_else(|| panic!("this CPU has no {set} instructions"));
        Cpu { isa, layout: Layout::new(None), scratch: Scratch::default() }
    }

    /// A device whose activations of up to 8 samples lie 8 abreast whatever the number of their features, so that small
    /// tests see that layout.
    ///
    /// # Panics
    /// Like [`Cpu::new`].
    pub fn halved(set: InstructionSet) -> Cpu {
        Cpu { layout: Layout::new(Some(0)), ..Cpu::new(set) }
    }

    /// The instruction set it computes with.
    pub fn instruction_set(&self) -> InstructionSet {
        self.isa.set()
    }
}

impl Memory for Cpu {
    type Buffer<T: Element> = Buffer<T>;
    type View<'a, T: Element> = &'a [T];
    type ViewMut<'a, T: Element> = &'a mut [T];

    fn zeros<T: Element>(&self, len: usize) -> Buffer<T> {
        Buffer::zeros(len)
    }
    fn room(&self) -> Option<Room> {
        None
    }
    fn scratch_of(&mut self, _work: impl FnOnce(&mut Self)) -> usize {
        0
    }
    fn activation_len(&self, samples: usize, features: usize) -> usize {
        self.layout.len(samples, features)
    }
    fn note_len(&self, samples: usize, features: usize) -> usize {
        self.layout.len(samples, features)
    }
    fn view<T: Element>(buffer: &Buffer<T>, range: Range<usize>) -> &[T] {
        &buffer.as_slice()[range]
    }
    fn view_mut<T: Element>(buffer: &mut Buffer<T>, range: Range<usize>) -> &mut [T] {
        &mut buffer.as_mut_slice()[range]
    }
    fn slice<'short, 'long: 'short, T: Element>(view: &'long [T], range: Range<usize>) -> &'short [T] {
        &view[range]
    }
    fn slice_mut<'a, T: Element>(view: &'a mut Self::ViewMut<'_, T>, range: Range<usize>) -> Self::ViewMut<'a, T> {
        &mut view[range]
    }
    fn reborrow<'short, 'long: 'short, T: Element>(view: &'long [T]) -> &'short [T] {
        view
    }
    fn shared<'a, T: Element>(view: Self::ViewMut<'a, T>) -> Self::View<'a, T> {
        view
    }
    fn split_mut<'a, T: Element>(
        view: Self::ViewMut<'a, T>,
        middle: usize,
    ) -> (Self::ViewMut<'a, T>, Self::ViewMut<'a, T>) {
        view.split_at_mut(middle)
    }
    fn host_view<T: Element>(host: &[T]) -> Option<&[T]> {
        Some(host)
    }
    fn host_view_mut(host: &mut [f32]) -> Result<&mut [f32], &mut [f32]> {
        Ok(host)
    }
    fn health(&mut self) -> Result<(), Failure> {
        Ok(())
    }
    fn write<T: Element>(&mut self, from: &[T], to: &mut [T]) {
        to.copy_from_slice(from);
    }
    fn read<T: Element>(&mut self, from: &[T], to: &mut [T]) {
        to.copy_from_slice(from);
    }
    fn read_activation(&mut self, shape: &ActivationShape, from: &[f32], to: &mut [f32]) {
        let (samples, features) = (shape.samples, shape.features());
        assert_len("the host's copy", to.len(), shape.values());
        assert_len("the activation", from.len(), self.layout.len(samples, features));
        let lanes = self.layout.lanes(samples, features);
        let groups = from.chunks_exact((lanes * features).max(1));
        for (group, rows) in groups.zip(to.chunks_mut((lanes * features).max(1))) {
            for (sample, row) in rows.chunks_exact_mut(features).enumerate() {
                row.iter_mut().zip(group.chunks_exact(lanes)).for_each(|(value, lanes)| *value = lanes[sample]);
            }
        }
    }
    fn write_activation(&mut self, shape: &ActivationShape, from: &[f32], to: &mut [f32]) {
        let (samples, features) = (shape.samples, shape.features());
        assert_len("the host's copy", from.len(), shape.values());
        assert_len("the activation", to.len(), self.layout.len(samples, features));
        let lanes = self.layout.lanes(samples, features);
        to.fill(0.0);
        let groups = to.chunks_exact_mut((lanes * features).max(1));
        for (group, rows) in groups.zip(from.chunks((lanes * features).max(1))) {
            for (sample, row) in rows.chunks_exact(features).enumerate() {
                row.iter().zip(group.chunks_exact_mut(lanes)).for_each(|(value, lanes)| lanes[sample] = *value);
            }
        }
    }
    fn copy<T: Element>(&mut self, from: &[T], to: &mut [T]) {
        to.copy_from_slice(from);
    }
    fn fill(&mut self, value: f32, to: &mut [f32]) {
        to.fill(value);
    }
}

impl Device for Cpu {}

/// Groups of 16 samples that hold `samples`.
pub(crate) fn groups(samples: usize) -> usize {
    samples.div_ceil(WIDTH)
}

/// Samples of group `group` that are no padding.
pub(crate) fn samples_in_group(samples: usize, group: usize) -> usize {
    (samples - group * WIDTH).min(WIDTH)
}
