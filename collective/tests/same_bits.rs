//! Whatever the split, the result has the bits of a plain serial evaluation of the tree's definition.

mod common;

use std::ops::Range;

use common::Worker;
use lockstep_collective::{Group, Hand, Shape, Tag, Tally, tree};
use proptest::prelude::*;

/// A pseudo-random number for a place (SplitMix64's finaliser).
fn mix(parts: [u64; 4]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |state, part| {
        let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Mostly numbers of very different size, some that are special.
fn value(seed: u64, step: u64, lane: u32, index: usize) -> f32 {
    let bits = mix([seed, step, u64::from(lane), index as u64]);
    match bits % 64 {
        0 => f32::from_bits((bits >> 40) as u32 & 0x007f_ffff),
        1 => -0.0,
        2 if bits >> 32 & 31 == 0 => f32::INFINITY,
        3 if bits >> 32 & 31 == 0 => f32::NEG_INFINITY,
        4 if bits >> 32 & 63 == 0 => f32::NAN,
        5 if bits >> 32 & 7 == 0 => f32::MAX,
        // Any sign and fraction, exponents over half of their range.
        _ => f32::from_bits((bits >> 32) as u32 & 0xbfff_ffff | 0x1000_0000),
    }
}

fn gradient(seed: u64, step: u64, lane: u32, to: &mut [f32]) {
    to.iter_mut().enumerate().for_each(|(index, to)| *to = value(seed, step, lane, index));
}

fn tally(seed: u64, step: u64, lane: u32, shape: &Shape) -> Tally {
    let number = |index: usize| mix([seed, !step, u64::from(lane), index as u64]);
    Tally {
        sums: (0..shape.sums).map(|index| (number(index) as i64 as f64) * 2f64.powi(lane as i32 % 90 - 40)).collect(),
        counts: (100..100 + shape.counts).map(number).collect(),
        flags: 1 << (number(999) % 64),
    }
}

/// The recursive definition, as it stands.
fn reference(seed: u64, step: u64, node: Range<u32>, shape: &Shape) -> (Vec<f32>, Tally) {
    if node.end - node.start == 1 {
        let mut leaf = vec![0.0; shape.parameters];
        gradient(seed, step, node.start, &mut leaf);
        return (leaf, tally(seed, step, node.start, shape));
    }
    let mut power = 1;
    while power * 2 < node.end - node.start {
        power *= 2;
    }
    let mid = node.start + power;
    let (mut left, mut left_tally) = reference(seed, step, node.start..mid, shape);
    let (right, right_tally) = reference(seed, step, mid..node.end, shape);
    left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
    left_tally.add(&right_tally);
    (left, left_tally)
}

/// What a lane thread does: lanes on a stack of which the subtree's destination is the lowest entry.
fn fill(hand: &mut Hand, seed: u64, step: u64, shape: &Shape) {
    for subtree in &mut hand.subtrees {
        let lanes = subtree.lanes.end - subtree.lanes.start;
        let len = subtree.gradient.len();
        let mut above = vec![vec![0.0; len]; tree::stack_for(lanes) as usize - 1];
        let mut stack: Vec<&mut [f32]> = vec![&mut *subtree.gradient];
        stack.extend(above.iter_mut().map(|row| &mut row[..]));
        let mut tallies: Vec<Tally> = Vec::new();
        for index in 0..lanes {
            let mut depth = tree::depth_at(index) as usize;
            gradient(seed, step, subtree.lanes.start + index, stack[depth]);
            tallies.push(tally(seed, step, subtree.lanes.start + index, shape));
            for _ in 0..tree::additions_after(index, lanes) {
                let (left, right) = stack.split_at_mut(depth);
                left[depth - 1].iter_mut().zip(&*right[0]).for_each(|(left, right)| *left += right);
                let right = tallies.pop().unwrap();
                tallies.last_mut().unwrap().add(&right);
                depth -= 1;
            }
        }
        subtree.tally.add(&tallies[0]);
    }
}

fn same(left: f32, right: f32) -> bool {
    left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
}

fn assert_tally(found: &Tally, expected: &Tally) {
    let bits = |tally: &Tally| tally.sums.iter().map(|sum| sum.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected));
    assert_eq!((&found.counts, found.flags), (&expected.counts, expected.flags));
}

/// A reduction: its number, its lanes and what is to come out.
struct Step {
    number: u64,
    lanes: u32,
    expected: (Vec<f32>, Tally),
}

/// Steps with these numbers of lanes; with gradients unless the lanes are too many.
fn steps(seed: u64, lanes: &[u32], shape: &Shape) -> Vec<Step> {
    let step = |(number, &lanes): (usize, &u32)| {
        let parameters = if lanes <= shape.max_lanes { shape.parameters } else { 0 };
        let expected = reference(seed, number as u64, 0..lanes, &Shape { parameters, ..*shape });
        Step { number: number as u64, lanes, expected }
    };
    lanes.iter().enumerate().map(step).collect()
}

/// One reduction, checked in full.
fn take(group: &mut Group, seed: u64, step: &Step, shape: &Shape) {
    let (number, lanes) = (step.number, step.lanes);
    let tag = Tag { step: number, pass: 0 };
    let (gradient, total) = if lanes <= shape.max_lanes {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let mut hands = group.hands(lanes).unwrap();
        pool.scope(|scope| hands.iter_mut().for_each(|hand| scope.spawn(|_| fill(hand, seed, number, shape))));
        let reduced = group.reduce(lanes, tag, Some(&pool)).unwrap();
        (reduced.gradient, reduced.tally)
    } else {
        group.tally_hands(lanes).unwrap().iter_mut().for_each(|hand| fill(hand, seed, number, shape));
        (&[][..], group.reduce_tally(lanes, tag).unwrap())
    };
    assert_eq!(gradient.len(), step.expected.0.len());
    let wrong = gradient.iter().zip(&step.expected.0).position(|(&left, &right)| !same(left, right));
    assert_eq!(wrong, None, "first element that differs, step {number}");
    assert_tally(total, &step.expected.1);
}

fn workers() -> impl Strategy<Value = Vec<Worker>> {
    let worker = (0..2usize, 0..4u32, 1..4u32);
    proptest::collection::vec(worker, 1..6).prop_map(|drawn| {
        let mut node = 0;
        let mut place = |(step, share, threads)| {
            node += step;
            Worker { node, share, threads }
        };
        let mut workers: Vec<Worker> = drawn.into_iter().map(&mut place).collect();
        workers[0].share += u32::from(workers.iter().all(|worker| worker.share == 0));
        workers
    })
}

fn parameters() -> impl Strategy<Value = usize> {
    // Around the limits of a block, of what counts as small, of a round between nodes, and beyond.
    prop_oneof![
        6 => 0..300usize,
        4 => 4090..4100usize,
        4 => 8190..8200usize,
        4 => 8193..40_000usize,
        1 => 65_536..300_000usize,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_result_does_not_depend_on_who_computed_what(
        workers in workers(),
        parameters in parameters(),
        (sums, counts) in (0..3usize, 0..3usize),
        lanes in proptest::collection::vec(1..40u32, 1..5),
        seed: u64,
    ) {
        let max_lanes = lanes[0].max(lanes[lanes.len() - 1]);
        let shape = Shape { parameters, sums, counts, max_lanes };
        let steps = steps(seed, &lanes, &shape);
        common::run(&workers, shape, |_, group, _| {
            let mut group = group.unwrap();
            steps.iter().for_each(|step| take(&mut group, seed, step, &shape));
        });
    }
}

#[test]
fn many_rounds_between_nodes_of_several_workers() {
    let worker = |node, share| Worker { node, share, threads: 2 };
    let workers = [worker(0, 1), worker(0, 2), worker(1, 3), worker(2, 0), worker(2, 1)];
    let shape = Shape { parameters: 1_500_003, sums: 1, counts: 1, max_lanes: 7 };
    let steps = steps(1, &[7, 1, 6], &shape);
    common::run(&workers, shape, |_, group, _| {
        let mut group = group.unwrap();
        steps.iter().for_each(|step| take(&mut group, 1, step, &shape));
    });
}

#[test]
fn one_lane_of_one_thread_is_reduced_where_it_lies() {
    let shape = Shape { parameters: 1000, sums: 0, counts: 0, max_lanes: 4 };
    common::run(&[Worker { node: 0, share: 1, threads: 1 }], shape, |_, group, _| {
        let mut group = group.unwrap();
        let written = group.hands(4).unwrap()[0].subtrees[0].gradient.as_ptr();
        assert_eq!(group.reduce(4, Tag { step: 0, pass: 0 }, None).unwrap().gradient.as_ptr(), written);
    });
}
