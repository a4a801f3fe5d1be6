//! Where a graph is cut into segments that run again on the way back.
//!
//! At a cut exactly one value is alive, so that it is all a segment needs of what is before it, and residual blocks stay
//! whole. A segment grows until a budget of memory is full, and many budgets are tried (Chen, Xu, Zhang & Guestrin 2016,
//! "Training Deep Nets with Sublinear Memory Cost", section 4.3).

use std::ops::Range;

use super::Use;

/// Budgets that are tried: each is a plan to make, and a network may have 10,000 layers.
const BUDGETS: usize = 32;

/// A graph's segments: nodes in order, none left out.
pub(super) type Segments = Vec<Range<usize>>;

/// What a budget is for.
#[derive(Clone, Copy)]
enum Budget {
    /// A segment's memory.
    Segment,
    /// The same and the values that are kept at the cuts before it: early segments may be larger than later ones.
    WithKept,
}

/// Nodes that no cut parts, and what they take for a sample.
struct Piece {
    nodes: Range<usize>,
    bytes: usize,
    /// Of the value behind it.
    kept: usize,
}

/// Ways to cut the graph, for many budgets, from all of its memory down. `features`: of each value.
pub(super) fn ways_to_cut(features: &[usize], nodes: &[Use<'_>]) -> Vec<Segments> {
    let pieces: Vec<Piece> = pieces(nodes).into_iter().map(|piece| Piece::new(features, nodes, piece)).collect();
    let whole: usize = pieces.iter().map(|piece| piece.bytes + piece.kept).sum();
    let mut ways: Vec<Segments> = Vec::new();
    for budget in [Budget::Segment, Budget::WithKept] {
        ways.extend((1..=BUDGETS).rev().map(|part| joined(&pieces, budget, whole * part / BUDGETS)));
    }
    ways.dedup();
    ways
}

impl Piece {
    fn new(features: &[usize], all: &[Use<'_>], nodes: Range<usize>) -> Self {
        let bytes = all[nodes.clone()].iter().map(|node| node.bytes(features)).sum();
        let kept = all[nodes.clone()].last().map_or(0, |node| size_of::<f32>() * features[node.links.output]);
        Self { nodes, bytes, kept }
    }
}

/// Neighbouring pieces joined as far as they fit into a budget; one that is too large by itself stays alone.
fn joined(pieces: &[Piece], budget: Budget, bytes: usize) -> Segments {
    let mut segments = Segments::new();
    let (mut filled, mut kept, mut behind) = (0, 0, 0);
    for piece in pieces {
        match segments.last_mut() {
            Some(segment) if filled + piece.bytes <= bytes => {
                segment.end = piece.nodes.end;
                filled += piece.bytes;
            }
            _ => {
                segments.push(piece.nodes.clone());
                kept += behind;
                filled = piece.bytes
                    + match budget {
                        Budget::Segment => 0,
                        Budget::WithKept => kept,
                    };
            }
        }
        behind = piece.kept;
    }
    segments
}

/// The graph cut wherever nothing but the value behind a node is alive.
fn pieces(nodes: &[Use<'_>]) -> Segments {
    // Of each value, the last node that reads it on the way forward.
    let mut read_until = vec![0; nodes.iter().map(|node| node.links.output + 1).max().unwrap_or(1)];
    for (index, node) in nodes.iter().enumerate() {
        node.links.inputs().for_each(|value| read_until[value] = index);
    }
    let (mut pieces, mut start) = (Segments::new(), 0);
    // The last node that reads what is older than the value behind the node before.
    let mut older_until = read_until[0];
    for at in 1..nodes.len() {
        if older_until < at {
            pieces.push(start..at);
            start = at;
        }
        older_until = older_until.max(read_until[nodes[at - 1].links.output]);
    }
    pieces.push(start..nodes.len());
    pieces
}
