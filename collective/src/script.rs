//! What two nodes send each other in a reduction, in which order. Pure: both ends compute the same.
//!
//! Small vectors go whole to everybody, who folds all of it. Large ones go in rounds: each node owns a slice,
//! cut into chunks; in round `c` a node sends every owner chunk `c` of the owner's slice (its *parts*, one a
//! maximal subtree), and the result of chunk `c − DELAY` of its own slice. As a result only follows the parts
//! that it is made of, no node can be more than [`WINDOW`] rounds ahead of another, which bounds the memory
//! for parts; and as everybody always takes in what it is sent, nothing can wait in a circle.

use std::ops::Range;

use lockstep_kernels::fold::BLOCK;

/// Vectors up to this many elements (32 KiB) go whole: a second round costs more than the bytes it saves.
pub(crate) const WHOLE: usize = 8 << 10;

/// Elements of a chunk (128 KiB): parts and result of a round stay in the second-level cache.
pub(crate) const CHUNK: usize = 8 * BLOCK;

/// Rounds between the parts of a chunk and its result.
const DELAY: usize = 2;

/// Rounds of parts that a node may hold unfolded.
pub(crate) const WINDOW: usize = 2 * DELAY + 2;

/// One thing to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The reduction's tag and the tallies of the sender's maximal subtrees.
    Control,
    /// Elements `range` of the sender's maximal subtree `subtree`, sent in `round`.
    Part { subtree: usize, range: Range<usize>, round: usize },
    /// Reduced elements `range` of the sender's slice: chunk `chunk` of it.
    Result { range: Range<usize>, chunk: usize },
}

/// The order of a reduction.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    nodes: usize,
    elements: usize,
    whole: bool,
    rounds: usize,
}

impl Script {
    /// A reduction of `elements` between `nodes`, in one round if `whole`.
    pub(crate) fn new(nodes: usize, elements: usize, whole: bool) -> Self {
        let longest = (0..nodes).map(|node| slice(elements, nodes, node).len()).max().unwrap_or(0);
        Self { nodes, elements, whole, rounds: if whole { elements.min(1) } else { longest.div_ceil(CHUNK) } }
    }

    /// Chunks that a node folds (of the whole vector, or of its slice).
    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    /// Elements that a round's parts have at most.
    pub(crate) fn part_len(&self) -> usize {
        if self.whole { self.elements } else { CHUNK }
    }

    /// Rounds of parts for which the receiver keeps memory.
    pub(crate) fn window(&self) -> usize {
        if self.whole { 1 } else { WINDOW.min(self.rounds) }
    }

    /// Chunk `chunk` of the slice of `owner`.
    pub(crate) fn chunk(&self, owner: usize, chunk: usize) -> Range<usize> {
        if self.whole {
            return 0..self.elements;
        }
        let slice = slice(self.elements, self.nodes, owner);
        let at = |chunk: usize| (slice.start + chunk * CHUNK).min(slice.end);
        at(chunk)..at(chunk + 1)
    }

    /// Item `index` of what `sender`, which has `subtrees` maximal subtrees, sends to `receiver`.
    pub(crate) fn item(&self, index: usize, (sender, subtrees): (usize, usize), receiver: usize) -> Option<Item> {
        let Some(index) = index.checked_sub(1) else {
            return Some(Item::Control);
        };
        let (round, subtree) = (index / (subtrees + 1), index % (subtrees + 1));
        let last = if self.whole { self.rounds } else { self.rounds + DELAY };
        if round >= last || self.rounds == 0 {
            return None;
        }
        if subtree < subtrees {
            let range = if round < self.rounds { self.chunk(receiver, round) } else { 0..0 };
            return Some(Item::Part { subtree, range, round });
        }
        let (range, chunk) = match round.checked_sub(DELAY) {
            Some(chunk) if !self.whole => (self.chunk(sender, chunk), chunk),
            _ => (0..0, 0),
        };
        Some(Item::Result { range, chunk })
    }

    /// Items that must have come from a sender with `subtrees` maximal subtrees before `chunk` can be folded.
    pub(crate) fn items_before_fold(&self, chunk: usize, subtrees: usize) -> usize {
        1 + chunk * (subtrees + 1) + subtrees
    }
}

/// The slice of part `index` of `parts`: cut at blocks, as even as they allow.
pub(crate) fn slice(elements: usize, parts: usize, index: usize) -> Range<usize> {
    let blocks = elements.div_ceil(BLOCK);
    let cut = |index: usize| (blocks * index / parts * BLOCK).min(elements);
    cut(index)..cut(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(script: &Script, sender: (usize, usize), receiver: usize) -> Vec<Item> {
        (0..).map_while(|index| script.item(index, sender, receiver)).collect()
    }

    #[test]
    fn slices_are_cut_at_blocks_and_cover_everything() {
        assert_eq!(slice(3 * BLOCK + 5, 2, 0), 0..2 * BLOCK);
        assert_eq!(slice(3 * BLOCK + 5, 2, 1), 2 * BLOCK..3 * BLOCK + 5);
        assert_eq!((0..5).map(|part| slice(BLOCK, 5, part).len()).sum::<usize>(), BLOCK);
    }

    #[test]
    fn a_small_vector_goes_whole_after_the_control_words() {
        let script = Script::new(3, 100, true);
        let nothing = Item::Result { range: 0..0, chunk: 0 };
        let part = |subtree| Item::Part { subtree, range: 0..100, round: 0 };
        assert_eq!(items(&script, (1, 2), 0), [Item::Control, part(0), part(1), nothing]);
        assert_eq!(items(&Script::new(3, 0, true), (1, 2), 0), [Item::Control]);
    }

    #[test]
    fn parts_and_results_of_a_large_vector_cover_both_slices_once() {
        for (nodes, elements) in [(2, 7 * CHUNK + 3), (3, 40 * CHUNK), (4, BLOCK), (3, 10 * BLOCK)] {
            let script = Script::new(nodes, elements, false);
            let sent = items(&script, (1, 2), 0);
            let parts = sent.iter().filter_map(|item| match item {
                Item::Part { subtree: 1, range, .. } => Some(range.clone()),
                _ => None,
            });
            let results = sent.iter().filter_map(|item| match item {
                Item::Result { range, .. } => Some(range.clone()),
                _ => None,
            });
            assert!(parts.flatten().eq(slice(elements, nodes, 0)));
            assert!(results.flatten().eq(slice(elements, nodes, 1)));
        }
    }
}
