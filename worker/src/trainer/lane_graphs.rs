//! That lanes which a GPU repeats as a whole come to the very bits of those that are asked for op by op.

use lockstep_kernels::cuda::Cuda;

use super::emulated_gpu;
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
