//! Where things lie in a node's shared memory. All workers of a node compute the same layout.

use std::ops::Range;

use lockstep_kernels::shared_memory::Size;

use crate::deal::slots_for;
use crate::membership::{Shape, Topology};
use crate::tag::HEADER;
use crate::tally::Tally;

/// Vectors up to this many elements (16 KiB) are folded whole by every worker after one barrier: a second
/// barrier costs more than the additions that it saves.
pub(crate) const SMALL: usize = 4 << 10;

/// Up to this many lanes, slots are counted exactly; beyond, by their bound (memory is taken when written).
const COUNTED_LANES: u32 = 4096;

/// Slots of a hand in a reduction of tallies over up to 2³² lanes.
const TALLIES_OF_A_HAND: usize = 64;

/// Elements of a parcel of a broadcast (256 KiB): long beside a barrier, short beside the second-level cache.
pub(crate) const PARCEL: usize = 64 << 10;

/// Words of a broadcast's announcement.
const ANNOUNCEMENT: usize = HEADER + 1;

/// Rounds of memory used in turn by things that are read after a reduction's last barrier: a worker fills one
/// only after everybody has left the reduction before, hence stopped reading the one before that.
pub(crate) const TURNS: usize = 2;

/// Offsets of all areas.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub parameters: usize,
    /// Whether vectors are small: slots then take turns, and results are private.
    pub small: bool,
    stride: usize,
    slots: usize,
    node_slots: usize,
    tally_words: usize,
    tally_slots: usize,
    participants: usize,
}

impl Layout {
    pub(crate) fn new(topology: &Topology, shape: &Shape) -> Self {
        let hands = topology.node_threads();
        let workers = topology.peers().len();
        // Rows start apart by an odd number of lines, so that equal elements of many rows do not compete for
        // the same set of the cache.
        let lines = shape.parameters.div_ceil(LINE);
        let whole_node = topology.nodes.len() == 1;
        Self {
            parameters: shape.parameters,
            small: shape.parameters <= SMALL && whole_node,
            stride: (lines + 1 - lines % 2) * LINE,
            slots: most_slots(topology, shape.max_lanes, hands),
            node_slots: if whole_node || hands == 1 { 0 } else { 2 * bits(shape.max_lanes) },
            tally_words: Tally::words(shape.sums, shape.counts),
            tally_slots: hands * TALLIES_OF_A_HAND,
            participants: workers,
        }
    }

    pub(crate) fn size(&self) -> Size {
        // A worker alone on its node passes no parcels.
        let parcels = if self.participants > 1 { TURNS } else { 0 };
        Size {
            participants: self.participants,
            words: self.announcement(TURNS).start,
            floats: self.parcel(parcels).start,
        }
    }

    /// Words of a tally.
    pub(crate) fn tally_words(&self) -> usize {
        self.tally_words
    }

    fn row(&self, row: usize) -> Range<usize> {
        row * self.stride..row * self.stride + self.parameters
    }

    /// The whole node's sum, or everybody's.
    pub(crate) fn reduced(&self) -> Range<usize> {
        self.row(0)
    }

    /// Sum of the node's maximal subtree `index`, if it has more than one slot.
    pub(crate) fn node_slot(&self, index: usize) -> Range<usize> {
        assert!(index < self.node_slots);
        self.row(1 + index)
    }

    /// Gradient of slot `index`.
    pub(crate) fn slot(&self, turn: usize, index: usize) -> Range<usize> {
        assert!(index < self.slots, "slot {index} of {}", self.slots);
        let turn = if self.small { turn } else { 0 };
        self.row(1 + self.node_slots + turn * self.slots + index)
    }

    /// Tally of everybody, published by the node's first worker.
    pub(crate) fn total_tally(&self) -> Range<usize> {
        0..self.tally_words
    }

    /// Tally of slot `index`.
    pub(crate) fn tally(&self, turn: usize, index: usize) -> Range<usize> {
        assert!(index < self.tally_slots, "tally {index} of {}", self.tally_slots);
        let at = (1 + turn * self.tally_slots + index) * self.tally_words;
        at..at + self.tally_words
    }

    /// What a broadcast's first barrier tells the node.
    pub(crate) fn announcement(&self, turn: usize) -> Range<usize> {
        let at = (1 + TURNS * self.tally_slots) * self.tally_words + turn * ANNOUNCEMENT;
        at..at + ANNOUNCEMENT
    }

    /// Elements whose bytes are a parcel of a broadcast, after all rows.
    pub(crate) fn parcel(&self, turn: usize) -> Range<usize> {
        let turns = if self.small { TURNS } else { 1 };
        let rows = 1 + self.node_slots + turns * self.slots;
        let at = rows * self.stride + turn * PARCEL;
        at..at + PARCEL
    }
}

/// Elements of a line of cache.
const LINE: usize = 16;

fn bits(lanes: u32) -> usize {
    (u32::BITS - lanes.leading_zeros()) as usize
}

/// The most slots that the node needs for any batch.
fn most_slots(topology: &Topology, max_lanes: u32, hands: usize) -> usize {
    if max_lanes > COUNTED_LANES {
        return hands * 2 * bits(max_lanes);
    }
    (1..=max_lanes).map(|lanes| slots_for(topology, lanes)).max().unwrap_or(0)
}
