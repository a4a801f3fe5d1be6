//! Memory that an op needs for itself while it runs.

use super::buffer::Buffer;
use super::stream::Stream;

/// Grows with the first steps and is kept. One op's scratch is the next op's: the GPU runs them one after the other.
#[derive(Default)]
pub(super) struct Scratch {
    buffer: Option<Buffer<f32>>,
    len: usize,
}

/// A run of 32-bit words of scratch memory, with left-over contents.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    address: u64,
    len: usize,
}

impl Part {
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// The first `len` words, and the rest.
    ///
    /// # Panics
    /// If there are fewer.
    #[track_caller]
    pub(crate) fn split(self, len: usize) -> (Part, Part) {
        assert!(len <= self.len, "{len} words of {}", self.len);
        let rest = Part { address: self.address + 4 * len as u64, len: self.len - len };
        (Part { address: self.address, len }, rest)
    }
}

impl Scratch {
    /// Where it is now; 0 before the first.
    pub fn address(&self) -> u64 {
        self.buffer.as_ref().map_or(0, |buffer| buffer.view(0..self.len).address())
    }

    /// Grown so far.
    pub fn bytes(&self) -> usize {
        size_of::<f32>() * self.len
    }

    /// `len` words at an address that is a multiple of 256. `op`: whom they are for, asked where memory has to grow.
    pub fn words(&mut self, stream: &Stream, len: usize, op: impl FnOnce() -> String) -> Part {
        if self.len < len {
            // First, so that both are never there at once.
            self.buffer = None;
            self.len = len;
            self.buffer = Some(Buffer::zeros(stream, len, &format!("the scratch memory of {}", op())));
        }
        Part { address: self.address(), len }
    }
}
