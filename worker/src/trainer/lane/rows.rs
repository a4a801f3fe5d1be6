//! What the lanes of a hand measure, a row each in the device's memory: ops write them lane by lane, and the host reads
//! all of them at once, behind the last lane.

use std::ops::Range;

use lockstep_collective::{Tally, tree};
use lockstep_kernels::device::{Device, LossSums};

use crate::trainer::measures::{self, LaneMeasures, LaneSamples};

/// A row: the sums of a loss, and the squared norm of each layer's gradient.
#[derive(Clone, Copy)]
pub(super) enum Row {
    /// At one place for the job: of passes whose measures nobody reads, or which [`Rows::keep`] takes to a lane's row.
    Apart,
    /// Of the hand's lane at this place.
    Lane(usize),
}

/// Rows of one hand at a time.
pub(super) struct Rows<D: Device> {
    layers: usize,
    /// Counts that a tally has.
    counts: usize,
    apart: D::Buffer<f64>,
    buffer: D::Buffer<f64>,
    /// As they were read; as long as `buffer`.
    values: Vec<f64>,
    /// The hand's first lane.
    first: u32,
    /// Of each lane; none of one that was left out.
    samples: Vec<Option<LaneSamples>>,
    /// What a lane without samples measures.
    zeros: Vec<f64>,
}

impl<D: Device> Rows<D> {
    /// Without memory for lanes: it grows with the first hands and is kept.
    pub fn new(device: &D, layers: usize, counts: usize) -> Self {
        let (apart, zeros) = (device.zeros(LossSums::LEN + layers), vec![0.0; LossSums::LEN + layers]);
        Self {
            layers,
            counts,
            apart,
            buffer: device.zeros(0),
            values: Vec::new(),
            first: 0,
            samples: Vec::new(),
            zeros,
        }
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
        Row::Lane(place)
    }

    /// Where a loss writes its sums.
    pub fn loss(&mut self, row: Row) -> D::ViewMut<'_, f64> {
        D::split_mut(self.row(row), LossSums::LEN).0
    }

    /// Where the squared norms of the layers go.
    pub fn norms(&mut self, row: Row) -> D::ViewMut<'_, f64> {
        D::split_mut(self.row(row), LossSums::LEN).1
    }

    fn row(&mut self, row: Row) -> D::ViewMut<'_, f64> {
        let width = self.width();
        match row {
            Row::Apart => D::view_mut(&mut self.apart, 0..width),
            Row::Lane(place) => D::view_mut(&mut self.buffer, place * width..(place + 1) * width),
        }
    }

    /// Takes what was measured apart to a lane's row.
    pub fn keep(&mut self, device: &mut D, row: Row) {
        let Row::Lane(place) = row else { return };
        let (width, start) = (self.width(), place * self.width());
        device.copy(D::view(&self.apart, 0..width), D::view_mut(&mut self.buffer, start..start + width));
    }

    /// Waits for the hand's lanes.
    pub fn read(&mut self, device: &mut D) {
        let len = self.len();
        device.read(D::view(&self.buffer, 0..len), &mut self.values[..len]);
    }

    /// Tallies of `lanes`, a node of the tree, in tree order, after [`Rows::read`]. `of_lane`: one that was not left out.
    pub fn tally(&self, lanes: Range<u32>, of_lane: &impl Fn(&LaneMeasures<'_>) -> Tally) -> Tally {
        if lanes.len() == 1 {
            let left_out = || Tally::new(measures::sums(self.layers), self.counts);
            return self.measures(lanes.start).map_or_else(left_out, |measures| of_lane(&measures));
        }
        let middle = tree::middle(&lanes);
        let mut tally = self.tally(lanes.start..middle, of_lane);
        tally.add(&self.tally(middle..lanes.end, of_lane));
        tally
    }

    fn measures(&self, lane: u32) -> Option<LaneMeasures<'_>> {
        let place = (lane - self.first) as usize;
        let samples = self.samples[place].as_ref()?;
        let row = match samples.count {
            0 => &self.zeros,
            _ => &self.values[place * self.width()..][..self.width()],
        };
        let (sums, norms) = row.split_first_chunk()?;
        Some(LaneMeasures { sums: LossSums::of(*sums), norms, samples, counts: self.counts })
    }

    fn width(&self) -> usize {
        LossSums::LEN + self.layers
    }

    /// Elements of all lanes' rows.
    fn len(&self) -> usize {
        self.samples.len() * self.width()
    }
}
