//! Memory that an op needs while it runs. It only grows, so that no step after the first allocates.

use super::Buffer;
use crate::simd::{Pack, WIDTH};

/// Scratch memory of one device: independent runs of packs and of numbers.
#[derive(Default)]
pub(crate) struct Scratch {
    /// An input made ready: padded, transposed or spread out.
    pub input: Growing,
    /// Weights in the order that a kernel reads them.
    pub weights: Growing,
    /// Sums that are not yet reduced over their 16 lanes.
    pub sums: Growing,
    /// A gradient made ready.
    pub gradient: Growing,
    /// A gradient spread out over the windows of a pooling.
    pub spread: Growing,
    /// Products that are not yet where they belong.
    pub products: Growing,
    /// Places of a kernel's elements in an input made ready.
    pub offsets: Vec<usize>,
}

/// A buffer that grows to the largest length asked of it.
#[derive(Default)]
pub(crate) struct Growing {
    buffer: Option<Buffer<f32>>,
}

impl Growing {
    /// `len` packs with left-over contents.
    pub(crate) fn packs(&mut self, len: usize) -> &mut [Pack] {
        self.numbers(len * WIDTH).as_chunks_mut().0
    }

    /// `len` numbers with left-over contents.
    pub(crate) fn numbers(&mut self, len: usize) -> &mut [f32] {
        let buffer = match self.buffer.take() {
            Some(buffer) if buffer.as_slice().len() >= len => buffer,
            _ => Buffer::zeros(len),
        };
        &mut self.buffer.insert(buffer).as_mut_slice()[..len]
    }
}
