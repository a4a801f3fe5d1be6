//! The plan of a reduction with a given number of lanes: who holds which subtrees, and how they fold.

use std::ops::Range;

use crate::membership::Topology;
use crate::tree::{Fold, maximal_subtrees};

/// What one lane thread of this worker contributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandDeal {
    /// Its lanes; may be empty.
    pub lanes: Range<u32>,
    /// Its maximal subtrees, which cover its lanes in order.
    pub subtrees: Vec<Range<u32>>,
}

/// How the lanes of a batch are dealt, as one worker sees it. Made by [`crate::Group::lanes`].
#[derive(Clone, Debug)]
pub struct Deal {
    hands: Vec<HandDeal>,
    /// This worker's first slot among the node's.
    pub(crate) first_slot: usize,
    /// Slots that the node's hands fill: one a maximal subtree of a hand, in lane order.
    pub(crate) slots: usize,
    /// This node's maximal subtrees, in lane order.
    pub(crate) subtrees: Vec<NodeSubtree>,
    /// Number of maximal subtrees of each node.
    pub(crate) node_subtrees: Vec<usize>,
    /// All nodes' maximal subtrees into the whole.
    pub(crate) total: Fold,
}

/// A maximal subtree of this node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSubtree {
    /// The slots that it is made of.
    pub slots: Range<usize>,
    /// How they fold.
    pub fold: Fold,
}

impl Deal {
    pub(crate) fn new(topology: &Topology, lanes: u32) -> Self {
        let hand = |lanes_of_hand: Range<u32>| HandDeal {
            subtrees: maximal_subtrees(lanes, lanes_of_hand.clone()),
            lanes: lanes_of_hand,
        };
        let hands_of = |rank| topology.hands_of(rank, lanes).map(hand);
        let pieces_of = |rank| hands_of(rank).flat_map(|hand| hand.subtrees);
        let pieces: Vec<Range<u32>> = topology.peers().flat_map(pieces_of).collect();
        let nodes: Vec<Vec<Range<u32>>> =
            (0..topology.nodes.len()).map(|node| node_subtrees(topology, node, lanes)).collect();
        Self {
            hands: hands_of(topology.rank()).collect(),
            first_slot: (topology.peers().start..topology.rank()).flat_map(pieces_of).count(),
            slots: pieces.len(),
            subtrees: group_pieces(&nodes[topology.node], &pieces),
            node_subtrees: nodes.iter().map(Vec::len).collect(),
            total: Fold::new(0..lanes, &nodes.concat()),
        }
    }

    /// This worker's hands, one a lane thread, in order.
    pub fn hands(&self) -> &[HandDeal] {
        &self.hands
    }

    /// Lanes that this worker holds.
    pub fn held(&self) -> Range<u32> {
        let first = self.hands.first().expect("a worker has at least one thread").lanes.start;
        first..self.hands.last().expect("a worker has at least one thread").lanes.end
    }

    /// Slots that this worker's hands fill, among the node's.
    pub(crate) fn own_slots(&self) -> Range<usize> {
        let own = self.hands.iter().map(|hand| hand.subtrees.len()).sum::<usize>();
        self.first_slot..self.first_slot + own
    }
}

/// How lanes are dealt to one worker's threads in a generation, whatever their number.
#[derive(Clone)]
pub struct Dealing(Topology);

impl Dealing {
    pub(crate) fn new(topology: Topology) -> Self {
        Self(topology)
    }

    /// Lanes of each thread, in order, of a batch of `lanes` lanes.
    pub fn hands(&self, lanes: u32) -> impl Iterator<Item = Range<u32>> {
        self.0.hands_of(self.0.rank(), lanes)
    }
}

/// Slots that the node of this worker needs for `lanes` lanes.
pub(crate) fn slots_for(topology: &Topology, lanes: u32) -> usize {
    let hands = topology.peers().flat_map(|rank| topology.hands_of(rank, lanes));
    hands.map(|hand| maximal_subtrees(lanes, hand).len()).sum()
}

fn node_subtrees(topology: &Topology, node: usize, lanes: u32) -> Vec<Range<u32>> {
    let ranks = &topology.nodes[node].ranks;
    let first = topology.lanes_of(ranks.start, lanes).start;
    maximal_subtrees(lanes, first..topology.lanes_of(ranks.end - 1, lanes).end)
}

/// Splits the hands' pieces at the node's maximal subtrees: a piece lies in exactly one of them.
fn group_pieces(subtrees: &[Range<u32>], pieces: &[Range<u32>]) -> Vec<NodeSubtree> {
    let mut next = 0;
    let group = |subtree: &Range<u32>| {
        let first = next;
        next += pieces[first..].iter().take_while(|piece| piece.end <= subtree.end).count();
        NodeSubtree { slots: first..next, fold: Fold::new(subtree.clone(), &pieces[first..next]) }
    };
    subtrees.iter().map(group).collect()
}
