//! The static graph: layers in forward order, the values between them, and their tensors in flat vectors.

use std::ops::Range;

use lockstep_kernels::device::ActivationShape;

use crate::layers::{MAX_INPUTS, Memo};

/// Place of a value among all; 0 is the model's input.
pub type ValueId = usize;

/// Sizes of a value of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels, or features where there is no plane.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// Features without a plane.
    pub fn flat(features: usize) -> Self {
        Self { channels: features, height: 1, width: 1 }
    }

    /// Values a sample.
    pub fn features(&self) -> usize {
        self.channels * self.plane()
    }

    /// Values of one channel of one sample.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Of an activation of so many samples.
    pub fn of_samples(&self, samples: usize) -> ActivationShape {
        ActivationShape { samples, channels: self.channels, plane: self.plane() }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { channels, height, width } = self;
        if (*height, *width) == (1, 1) { write!(f, "{channels}") } else { write!(f, "{channels}×{height}×{width}") }
    }
}

/// The values that a node reads and the one that it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    inputs: [Option<ValueId>; MAX_INPUTS],
    /// The value behind the node.
    pub output: ValueId,
}

impl Links {
    /// From these values to that one.
    ///
    /// # Panics
    /// If there are more than [`MAX_INPUTS`].
    pub fn new(inputs: &[ValueId], output: ValueId) -> Self {
        assert!(inputs.len() <= MAX_INPUTS, "a node has {} inputs, {MAX_INPUTS} are the most", inputs.len());
        let mut all = [None; MAX_INPUTS];
        all.iter_mut().zip(inputs).for_each(|(place, value)| *place = Some(*value));
        Self { inputs: all, output }
    }

    /// Values read, in order.
    pub fn inputs(&self) -> impl Iterator<Item = ValueId> {
        self.inputs.iter().copied().map_while(|value| value)
    }
}

/// A node's place in the graph and in the flat vectors.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Name, as in `layer3.0.conv1`.
    pub name: String,
    /// Values read and written.
    pub links: Links,
    /// Its part of the flat parameter vector.
    pub parameters: Range<usize>,
    /// Its part of the running statistics.
    pub statistics: Range<usize>,
    /// What it notes on the way forward.
    pub memo: Memo,
}
