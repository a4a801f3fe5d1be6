//! That lanes which a GPU repeats as a whole, or part by part, come to the very bits of those that are asked for op by
//! op.

use lockstep_kernels::cuda::Cuda;
use lockstep_kernels::device::Memory;

use super::emulated_gpu;
use super::lane_noise::LaneNoise;
use super::lane_waits::{Stage, job};

/// First position and lanes of each hand: other samples, sums at other places, more rows of measures from the fourth
/// on, and a short lane behind each.
const HANDS: [(u64, u32); 8] = [(0, 5), (9, 3), (21, 5), (2, 9), (2, 3), (30, 1), (5, 5), (11, 1)];

/// Gradient and sums of a hand.
type Bits = (Vec<u32>, Vec<u64>);

/// What all hands come to, and how many lanes were launched as a whole.
fn hands(device: Cuda) -> (Vec<Bits>, u64) {
    let mut stage = Stage::new(device, &job());
    let hand = |(first, lanes)| {
        let computed = stage.train_at(first, lanes);
        let gradient = computed.gradient.iter().map(|value| value.to_bits()).collect();
        (gradient, computed.tally.sums.iter().map(|sum| sum.to_bits()).collect())
    };
    let all = HANDS.map(hand).into();
    (all, stage.runner.device.graphs())
}

#[test]
fn lanes_that_are_repeated_have_the_same_bits() {
    emulated_gpu::alone(|device| {
        let (repeated, graphs) = hands(device);
        // Of 37 lanes those are asked for op by op that are the first of eight occasions: a whole one to each of four
        // places, a short one to each of four.
        assert_eq!(graphs, 37 - 8);
        let (asked, graphs) = hands(Cuda::new(0).unwrap().without_graphs());
        assert_eq!(graphs, 0);
        assert!(repeated == asked, "bits differ");
    });
}

/// What is told of the sums of some hands while their last lanes go on: at one layer's end or within the next, then at
/// both, then at the first again. With the tallies, and how often a lane or a part of one was launched as a whole.
fn hands_that_tell(device: Cuda) -> (Vec<Bits>, u64) {
    let mut stage = Stage::new(device, &job());
    let ends: Vec<_> = stage.work.model.layer_ranges().iter().map(|range| range.end).collect();
    let (first, both) = (&[ends[0]][..], &[ends[0], ends[1] - 1][..]);
    let mut slot = vec![stage.runner.device.zeros(stage.work.model.len())];
    let before = stage.runner.device.graphs();
    let hand = |(at, (position, lanes)): (&[usize], (u64, u32))| {
        let computed = stage.train_telling(position, lanes, at, &mut slot);
        let lens = computed.told.iter().map(Vec::len);
        assert!(lens.eq(at.iter().copied().chain([stage.work.model.len()])), "told of another part");
        let told = computed.told.concat().into_iter().map(f32::to_bits).collect();
        (told, computed.tally.sums.iter().map(|sum| sum.to_bits()).collect())
    };
    let told_at = [first, both, first, both, first, both, &[]];
    let all = told_at.into_iter().flat_map(|at| [(at, (4, 1)), (at, (9, 3))]).map(hand).collect();
    (all, stage.runner.device.graphs() - before)
}

#[test]
fn lanes_that_tell_what_they_have_made_are_repeated_in_parts() {
    emulated_gpu::alone(|device| {
        let (repeated, graphs) = hands_that_tell(device);
        let (asked, none) = hands_that_tell(Cuda::new(0).unwrap().without_graphs());
        // Of the lanes whose sums nobody is told of all but the first are launched as a whole: 6, and 7 that were so
        // before. Of the last lanes, at two places, two of three in two parts, and two of three in three.
        assert_eq!((graphs, none), (6 + 7 + 2 * (2 * 2 + 2 * 3), 0));
        assert!(repeated == asked, "bits differ");
    });
}

/// Twice the gradient of each lane is twice the sum, to the bit, whether lanes are repeated or not, and whoever is told of
/// it: once, of the whole. Neither statistics nor measures are doubled.
#[test]
fn lanes_are_multiplied_behind_their_measures() {
    emulated_gpu::alone(|device| {
        for device in [device, Cuda::new(0).unwrap().without_graphs()] {
            let mut stage = Stage::new(device, &job());
            let (parameters, len) = (stage.work.model.parameters(), stage.work.model.len());
            assert!(parameters < len, "there are statistics");
            let plain = stage.train_at(9, 3);
            let doubled = |value: &f32, place| if place < parameters { value * 2.0 } else { *value };
            let expected: Vec<f32> = plain.gradient.iter().enumerate().map(|(i, value)| doubled(value, i)).collect();
            stage.noise = Some(LaneNoise::alike(2.0, 3));
            for _ in 0..3 {
                let noisy = stage.train_at(9, 3);
                assert!(noisy.gradient == expected, "not twice as much");
                assert_eq!(noisy.tally.sums, plain.tally.sums);
            }
            let ends: Vec<_> = stage.work.model.layer_ranges().iter().map(|range| range.end).collect();
            let mut slot = vec![stage.runner.device.zeros(len)];
            for _ in 0..3 {
                let told = stage.train_telling(9, 3, &ends[..1], &mut slot);
                assert!(told.told == [expected.clone()], "told of {} parts", told.told.len());
                assert_eq!(told.tally.sums, plain.tally.sums);
            }
        }
    });
}
