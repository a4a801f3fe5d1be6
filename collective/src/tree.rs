//! The fixed tree over lane index, and the order in which parts of it are added up.
//!
//! `T(l, l+1) = lane l`; `T(lo, hi) = T(lo, mid) + T(mid, hi)` with `mid = lo +` the largest power of two
//! below `hi − lo`. The tree depends on the number of lanes alone, so who computes which part does not show
//! in the result.

use std::ops::Range;

/// Where `T(lo, hi)` splits.
///
/// # Panics
/// If the range holds fewer than two lanes.
pub fn middle(range: &Range<u32>) -> u32 {
    let lanes = range.end - range.start;
    assert!(lanes > 1, "{range:?} is no inner node");
    range.start + (1 << (31 - (lanes - 1).leading_zeros()))
}

/// The largest subtrees of the tree over `lanes` lanes that lie within `range`, in lane order: one when the
/// range is a node of the tree, at most 2·log₂(lanes) otherwise, none when it is empty.
pub fn maximal_subtrees(lanes: u32, range: Range<u32>) -> Vec<Range<u32>> {
    let mut found = Vec::new();
    if lanes > 0 {
        collect_within(0..lanes, &range, &mut found);
    }
    found
}

fn collect_within(node: Range<u32>, range: &Range<u32>, found: &mut Vec<Range<u32>>) {
    if node.end <= range.start || range.end <= node.start || range.is_empty() {
        return;
    }
    if range.start <= node.start && node.end <= range.end {
        found.push(node);
        return;
    }
    let mid = middle(&node);
    collect_within(node.start..mid, range, found);
    collect_within(mid..node.end, range, found);
}

/// How many additions follow lane `index` (from 0) of a subtree with `lanes` lanes, when lanes are pushed on a
/// stack in order and an addition replaces the two topmost entries by their sum.
///
/// Lane `index` goes to stack position [`depth_at`]`(index)`; after the last lane's additions the subtree's
/// sum is at position 0.
pub fn additions_after(index: u32, lanes: u32) -> u32 {
    let pushed = index + 1;
    // Complete blocks of 2^k lanes are nodes; the last lane also closes the shorter blocks to its left.
    let open = if pushed == lanes { lanes.count_ones() - 1 } else { 0 };
    pushed.trailing_zeros() + open
}

/// Entries on the stack before lane `index` is pushed: the position that it goes to.
pub fn depth_at(index: u32) -> u32 {
    index.count_ones()
}

/// Stack positions that a subtree with `lanes` lanes needs.
pub fn stack_for(lanes: u32) -> u32 {
    // The fullest position below `lanes` is that of the longest run of one-bits: 2^k − 1.
    if lanes == 0 { 0 } else { lanes.ilog2() + 1 }
}

/// How an ordered list of subtrees becomes the sum of the node they cover: after entry `i` is pushed on a
/// stack, `additions[i]` times the two topmost entries are replaced by their sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    additions: Vec<u32>,
}

impl Fold {
    /// The fold of `pieces` (nodes of the tree, in order) into the node `root` that they cover.
    ///
    /// # Panics
    /// If the pieces are not nodes of the tree or do not cover `root` exactly.
    pub fn new(root: Range<u32>, pieces: &[Range<u32>]) -> Self {
        let mut additions = Vec::with_capacity(pieces.len());
        let mut rest = pieces;
        visit(root.clone(), &mut rest, &mut additions);
        assert!(rest.is_empty(), "{rest:?} lie outside of {root:?}");
        Self { additions }
    }

    /// Entries to push.
    pub fn len(&self) -> usize {
        self.additions.len()
    }

    /// Whether there is nothing to push.
    pub fn is_empty(&self) -> bool {
        self.additions.is_empty()
    }

    /// Additions after each push, in order.
    pub fn additions(&self) -> &[u32] {
        &self.additions
    }

    /// Runs the fold over values in a stack kept by the caller, which holds the sum afterwards.
    pub fn run<T>(&self, stack: &mut Vec<T>, values: impl IntoIterator<Item = T>, mut add: impl FnMut(&mut T, T)) {
        for (value, &additions) in values.into_iter().zip(&self.additions) {
            stack.push(value);
            for _ in 0..additions {
                let right = stack.pop().expect("an addition takes two entries");
                add(stack.last_mut().expect("an addition takes two entries"), right);
            }
        }
    }
}

fn visit(node: Range<u32>, rest: &mut &[Range<u32>], additions: &mut Vec<u32>) {
    let piece = rest.first().unwrap_or_else(|| panic!("nothing covers {node:?}"));
    if *piece == node {
        *rest = &rest[1..];
        additions.push(0);
        return;
    }
    assert!(node.end - node.start > 1, "{piece:?} is no node of the tree: it meets lane {}", node.start);
    let mid = middle(&node);
    visit(node.start..mid, rest, additions);
    visit(mid..node.end, rest, additions);
    *additions.last_mut().expect("a child was pushed") += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word, as text.
    fn definition(node: Range<u32>) -> String {
        if node.end - node.start == 1 {
            return node.start.to_string();
        }
        let mut power = 1;
        while power * 2 < node.end - node.start {
            power *= 2;
        }
        let mid = node.start + power;
        format!("({}+{})", definition(node.start..mid), definition(mid..node.end))
    }

    fn join(left: &mut String, right: String) {
        *left = format!("({left}+{right})");
    }

    #[test]
    fn splits_at_the_largest_power_of_two_below() {
        assert_eq!([2, 3, 4, 5, 7, 8, 9].map(|lanes| middle(&(10..10 + lanes)) - 10), [1, 2, 2, 4, 4, 4, 8]);
    }

    #[test]
    fn maximal_subtrees_of_aligned_and_odd_ranges() {
        assert_eq!(maximal_subtrees(8, 4..8), vec![4..8]);
        assert_eq!(maximal_subtrees(7, 0..7), vec![0..7]);
        assert_eq!(maximal_subtrees(7, 3..7), [3..4, 4..7]);
        assert_eq!(maximal_subtrees(8, 1..7), [1..2, 2..4, 4..6, 6..7]);
        assert_eq!(maximal_subtrees(8, 5..5), []);
        assert!(maximal_subtrees(1 << 20, 1..(1 << 20) - 1).len() <= 40);
    }

    #[test]
    fn folding_maximal_subtrees_of_any_two_cuts_gives_the_definition() {
        for lanes in 1..=33 {
            for first in 0..=lanes {
                for second in first..=lanes {
                    let cuts = [0..first, first..second, second..lanes];
                    let pieces: Vec<_> = cuts.into_iter().flat_map(|cut| maximal_subtrees(lanes, cut)).collect();
                    let fold = Fold::new(0..lanes, &pieces);
                    let mut stack = Vec::new();
                    fold.run(&mut stack, pieces.into_iter().map(definition), join);
                    assert_eq!(stack, [definition(0..lanes)]);
                }
            }
        }
    }

    #[test]
    fn pushing_lanes_with_their_additions_gives_the_definition() {
        for lanes in 1..=130 {
            let mut stack: Vec<String> = Vec::new();
            let mut deepest = 0;
            for index in 0..lanes {
                assert_eq!(stack.len(), depth_at(index) as usize);
                stack.push(index.to_string());
                deepest = deepest.max(stack.len());
                for _ in 0..additions_after(index, lanes) {
                    let right = stack.pop().unwrap();
                    join(stack.last_mut().unwrap(), right);
                }
            }
            assert_eq!(stack, [definition(0..lanes)]);
            assert_eq!(deepest, stack_for(lanes) as usize, "{lanes} lanes");
        }
    }
}
