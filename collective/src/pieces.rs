//! How a batch's lanes are dealt where each worker has one device with its own memory.

use std::ops::Range;

use crate::membership::Topology;
use crate::tree::{Fold, maximal_subtrees};

/// All workers' maximal subtrees.
#[derive(Clone, Debug)]
pub struct Pieces {
    /// Those of this worker, in lane order.
    pub own: Vec<Range<u32>>,
    /// How many each rank has; they follow each other in lane order.
    pub of_ranks: Vec<usize>,
    /// All of them into the whole.
    pub fold: Fold,
}

impl Pieces {
    pub(crate) fn new(topology: &Topology, lanes: u32) -> Self {
        let of_rank = |rank| maximal_subtrees(lanes, topology.lanes_of(rank, lanes));
        let all: Vec<_> = (0..topology.membership.members.len()).map(of_rank).collect();
        Self {
            own: all[topology.rank()].clone(),
            of_ranks: all.iter().map(Vec::len).collect(),
            fold: Fold::new(0..lanes, &all.concat()),
        }
    }
}
