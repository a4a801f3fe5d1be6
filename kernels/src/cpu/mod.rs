//! The CPU as a device: one thread, an instruction set and scratch memory.
//!
//! Activations lie in *groups* of 16 samples: `[⌈N/16⌉][features][16]`, so that one vector register holds one feature
//! of a group. Samples beyond N in the last group are *padding*: finite values with zero gradients.

mod buffer;
mod scratch;

use std::ops::Range;

use crate::device::{Device, Element, Memory};
pub use crate::simd::InstructionSet;
use crate::simd::{Isa, Pack, WIDTH};
pub use buffer::Buffer;
pub(crate) use scratch::{Growing, Scratch};

/// A CPU thread as a device. Its scratch memory grows during the first step and is kept.
pub struct Cpu {
    pub(crate) isa: Isa,
    pub(crate) scratch: Scratch,
}

impl Cpu {
    /// A device that computes with `set`.
    ///
    /// # Panics
    /// If this CPU lacks the instructions: ask [`InstructionSet::is_available`] first.
    pub fn new(set: InstructionSet) -> Cpu {
        let isa = Isa::new(set).unwrap_or_else(|| panic!("this CPU has no {set} instructions"));
        Cpu { isa, scratch: Scratch::default() }
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
    fn activation_len(&self, samples: usize, features: usize) -> usize {
        activation_len(samples, features)
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
    fn shared<'a, T: Element>(view: Self::ViewMut<'a, T>) -> Self::View<'a, T> {
        view
    }
    fn split_mut<'a, T: Element>(
        view: Self::ViewMut<'a, T>,
        middle: usize,
    ) -> (Self::ViewMut<'a, T>, Self::ViewMut<'a, T>) {
        view.split_at_mut(middle)
    }
    fn write<T: Element>(&mut self, from: &[T], to: &mut [T]) {
        to.copy_from_slice(from);
    }
    fn read<T: Element>(&mut self, from: &[T], to: &mut [T]) {
        to.copy_from_slice(from);
    }
    fn read_activation(&mut self, samples: usize, features: usize, from: &[f32], to: &mut [f32]) {
        assert_len("the host's copy", to.len(), samples * features);
        let groups = packs("the activation", from, samples, features).chunks_exact(features.max(1));
        for (packs, rows) in groups.zip(to.chunks_mut((WIDTH * features).max(1))) {
            for (sample, row) in rows.chunks_exact_mut(features).enumerate() {
                row.iter_mut().zip(packs).for_each(|(value, pack)| *value = pack[sample]);
            }
        }
    }
    fn copy<T: Element>(&mut self, from: &[T], to: &mut [T]) {
        to.copy_from_slice(from);
    }
    fn fill<T: Element>(&mut self, value: T, to: &mut [T]) {
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

pub(crate) fn activation_len(samples: usize, features: usize) -> usize {
    groups(samples) * features * WIDTH
}

/// An activation as packs, checked against its shape.
///
/// # Panics
/// If the length is not that of `samples` × `features`.
#[track_caller]
pub(crate) fn packs<'a>(name: &str, activation: &'a [f32], samples: usize, features: usize) -> &'a [Pack] {
    assert_len(name, activation.len(), activation_len(samples, features));
    activation.as_chunks().0
}

/// Like [`packs`], exclusive.
#[track_caller]
pub(crate) fn packs_mut<'a>(name: &str, activation: &'a mut [f32], samples: usize, features: usize) -> &'a mut [Pack] {
    assert_len(name, activation.len(), activation_len(samples, features));
    activation.as_chunks_mut().0
}

#[track_caller]
pub(crate) fn assert_len(name: &str, len: usize, expected: usize) {
    assert!(len == expected, "{name} holds {len} elements where its shape has {expected}");
}
