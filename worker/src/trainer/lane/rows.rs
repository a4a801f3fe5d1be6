//! What the lanes of a hand measure, a row each in the device's memory: ops write them lane by lane, and the host reads
//! all of them at once, behind the last lane.

use std::ops::Range;

use lockstep_collective::{Tally, tree};
use lockstep_kernels::device::{Device, LossSums};

use crate::trainer::measures::{self, LaneMeasures, LaneSamples};

/// A row: the sums of a loss, and the squared norm of each layer's gradient.
#[derive(Clone, Copy)]
pub(super) struct Row(usize);

impl Row {
    /// Of passes whose measures nobody reads.
    pub const UNREAD: Row = Row(0);
}

/// Rows of one hand at a time.
pub(super) struct Rows<D: Device> {
    layers: usize,
    buffer: D::Buffer<f64>,
    /// As they were read; as long as `buffer`.
    values: Vec<f64>,
    /// The hand's first lane, whose row follows the unread one.
    first: u32,
    /// Of each lane; none of one that was left out.
    samples: Vec<Option<LaneSamples>>,
}

impl<D: Device> Rows<D> {
    /// Without memory: it grows with the first hands and is kept.
    pub fn new(device: &D, layers: usize) -> Self {
        Self { layers, buffer: device.zeros(0), values: Vec::new(), first: 0, samples: Vec::new() }
    }

    /// Before a hand's `lanes`. Those that are not entered count as left out.
    pub fn start(&mut self, device: &D, lanes: Range<u32>) {
        self.first = lanes.start;
        self.samples.clear();
        self.samples.resize(lanes.len(), None);
        let len = self.len();
        if self.values.len() < len {
            self.values.resize(len, 0.0);
            self.buffer = device.zeros(len);
        }
    }

    /// A lane is about to be computed: the row for its measures.
    pub fn enter(&mut self, lane: u32, samples: LaneSamples) -> Row {
        let place = (lane - self.first) as usize;
        self.samples[place] = Some(samples);
        Row(1 + place)
    }

    /// Where a loss writes its sums.
    pub fn loss(&mut self, Row(row): Row) -> D::ViewMut<'_, f64> {
        let start = row * self.width();
        D::view_mut(&mut self.buffer, start..start + LossSums::LEN)
    }

    /// Where the squared norms of the layers go.
    pub fn norms(&mut self, Row(row): Row) -> D::ViewMut<'_, f64> {
        let (start, width) = (row * self.width(), self.width());
        D::view_mut(&mut self.buffer, start + LossSums::LEN..start + width)
    }

    /// Waits for the hand's lanes.
    pub fn read(&mut self, device: &mut D) {
        let lanes = self.width()..self.len();
        device.read(D::view(&self.buffer, lanes.clone()), &mut self.values[lanes]);
    }

    /// Tallies of `lanes`, a node of the tree, in tree order, after [`Rows::read`]. `of_lane`: one that was not left out.
    pub fn tally(&self, lanes: Range<u32>, of_lane: &impl Fn(&LaneMeasures<'_>) -> Tally) -> Tally {
        if lanes.len() == 1 {
            let left_out = || Tally::new(measures::sums(self.layers), measures::COUNTS);
            return self.measures(lanes.start).map_or_else(left_out, |measures| of_lane(&measures));
        }
        let middle = tree::middle(&lanes);
        let mut tally = self.tally(lanes.start..middle, of_lane);
        tally.add(&self.tally(middle..lanes.end, of_lane));
        tally
    }

    fn measures(&self, lane: u32) -> Option<LaneMeasures<'_>> {
        let place = (lane - self.first) as usize;
        let samples = self.samples[place]?;
        let row = &self.values[(1 + place) * self.width()..][..self.width()];
        let (sums, norms) = row.split_first_chunk()?;
        Some(LaneMeasures { sums: LossSums::of(*sums), norms, samples })
    }

    fn width(&self) -> usize {
        LossSums::LEN + self.layers
    }

    /// Elements of all rows.
    fn len(&self) -> usize {
        (1 + self.samples.len()) * self.width()
    }
}
