//! Orders: bijections, pinned, well mixed; and windowed ones, which read shards one after the other.

use proptest::prelude::*;

use super::*;

/// Every sample comes up once, and the inverse finds its position.
fn check_bijection(seed: u64, epoch: u64, len: u64) {
    let order = Order::new(seed, epoch, len);
    let mut seen = vec![false; len as usize];
    for position in 0..len {
        let sample = order.sample_at(position);
        let seen = &mut seen[sample as usize];
        assert!(!*seen, "sample {sample} of {len} comes up twice");
        *seen = true;
        assert_eq!(order.position_of(sample), position);
    }
}

#[test]
fn bijective_for_every_small_number_of_samples() {
    for len in 1..=600 {
        check_bijection(len, 3, len);
    }
}

#[test]
fn bijective_beside_powers_of_two() {
    for bits in 10..=18 {
        for len in [(1 << bits) - 1, 1 << bits, (1 << bits) + 1] {
            check_bijection(1, bits, len);
        }
    }
    for len in [60_000, 1_281_167] {
        check_bijection(0, 0, len);
    }
}

#[test]
fn reaches_the_ends_of_the_largest_range() {
    for len in [u64::MAX, u64::MAX / 2 + 2, u64::from(u32::MAX) + 2] {
        let order = Order::new(5, 0, len);
        for position in [0, 1, len / 2, len - 2, len - 1] {
            assert_eq!(order.position_of(order.sample_at(position)), position);
        }
    }
}

#[test]
fn golden_samples() {
    // Pinned: a change here reorders the samples of every job.
    let check = |seed, epoch, len, first: [u64; 6]| {
        let order = Order::new(seed, epoch, len);
        assert_eq!([0, 1, 2, 3, 4, 5].map(|position| order.sample_at(position)), first);
    };
    check(0, 0, 10, [2, 0, 5, 1, 6, 7]);
    check(0, 0, 60_000, [43_707, 2_171, 9_726, 31_403, 42_706, 1_622]);
    check(0, 1, 60_000, [38_932, 37_180, 3_573, 7_302, 1_019, 42_959]);
    check(1, 0, 60_000, [54_376, 21_203, 34_471, 1_670, 28_555, 5_732]);
    check(u64::MAX, 89, 1_281_167, [461_215, 638_768, 447_070, 242_443, 219_090, 689_721]);
}

#[test]
fn every_permutation_of_three_samples_comes_up_about_evenly() {
    let mut counts = std::collections::BTreeMap::new();
    for epoch in 0..6_000 {
        let order = Order::new(9, epoch, 3);
        let all: Vec<u64> = (0..3).map(|position| order.sample_at(position)).collect();
        *counts.entry(all).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|count| count.abs_diff(1_000) < 250), "{counts:?}");
}

#[test]
fn batches_of_class_sorted_samples_are_as_mixed_as_a_fair_shuffle() {
    // 10 classes of 6,000, batches of 100: Σ over batches and classes of (count − 10)² / 10 follows about a
    // χ² of 600·9 = 5,400 degrees of freedom, standard deviation 104.
    let order = Order::new(4, 2, 60_000);
    let mut chi_squared = 0.0;
    for batch in 0..600 {
        let mut counts = [0.0f64; 10];
        for position in batch * 100..(batch + 1) * 100 {
            counts[(order.sample_at(position) / 6_000) as usize] += 1.0;
        }
        chi_squared += counts.iter().map(|count| (count - 10.0).powi(2) / 10.0).sum::<f64>();
    }
    assert!((chi_squared - 5_400.0).abs() < 520.0, "χ² {chi_squared}");
}

#[test]
fn epochs_and_seeds_agree_no_more_than_by_chance() {
    let orders = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(seed, epoch)| Order::new(seed, epoch, 10_000));
    for (i, a) in orders.iter().enumerate() {
        for b in &orders[..i] {
            let same = (0..10_000).filter(|&position| a.sample_at(position) == b.sample_at(position));
            assert!(same.count() < 12);
        }
    }
}

proptest! {
    #[test]
    fn the_inverse_is_exact(seed: u64, epoch: u64, len in 1u64.., at: u64) {
        let order = Order::new(seed, epoch, len);
        let sample = order.sample_at(at % len);
        prop_assert!(sample < len);
        prop_assert_eq!(order.position_of(sample), at % len);
    }
}

/// A job of the windowed order.
fn windowed(batch: u32, streams: u32, block: u64, window: u64) -> Job {
    let mut job = Job::from_toml("data.path = '.'").unwrap();
    (job.batch.size, job.batch.micro_batch) = (batch, batch / streams);
    job.data = job::Data { order: job::Order::Windowed, block, streams, window, ..job.data };
    job
}

#[test]
fn windowed_orders_are_bijective() {
    for len in (1..200).chain([1023, 1024, 1025]) {
        for (batch, streams) in [(1, 1), (8, 1), (8, 4), (12, 3), (400, 2)] {
            for (block, window) in [(1, 1), (7, 5), (10, 100), (2000, 16)] {
                let order = Order::of(&windowed(batch, streams, block, window), len, len);
                let mut samples: Vec<u64> = (0..len).map(|position| order.sample_at(position)).collect();
                assert!((0..len).all(|at| order.position_of(samples[at as usize]) == at), "{len} {batch} {block}");
                samples.sort_unstable();
                assert!(samples.iter().copied().eq(0..len));
            }
        }
    }
}

#[test]
fn a_lane_reads_few_blocks_at_a_time_and_each_once() {
    // 100 blocks of 50 in 4 streams of 1,250 samples; steps of 40, in windows of 100.
    let job = windowed(40, 4, 50, 100);
    let order = Order::of(&job, 3, 5_000);
    for stream in 0..4 {
        let samples: Vec<u64> = (0..125)
            .flat_map(|step| (0..10).map(move |sample| step * 40 + stream * 10 + sample))
            .map(|position| order.sample_at(position))
            .collect();
        // A window of 100 lies in 3 blocks at most.
        for window in samples.chunks(100) {
            let blocks: std::collections::BTreeSet<u64> = window.iter().map(|sample| sample / 50).collect();
            assert!(blocks.len() <= 3, "{blocks:?}");
            assert!(!window.is_sorted());
        }
    }
    let first = |epoch| Order::of(&job, epoch, 5_000).sample_at(0);
    assert!((0..10).map(first).collect::<std::collections::BTreeSet<_>>().len() > 5);
}

#[test]
fn golden_windowed_samples() {
    // Pinned: a change here reorders the samples of every job of this order.
    let order = Order::of(&windowed(8, 2, 100, 64), 1, 60_000);
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(|position| order.sample_at(position)),
        [52_200, 52_235, 52_221, 52_203, 54_354, 54_338]
    );
}

/// The order of an epoch is of that epoch's batch.
#[test]
fn streams_go_with_the_batch_of_the_epoch() {
    let mut grown = windowed(8, 2, 10, 20);
    grown.batch.growth = vec![(2, 16)];
    let samples = |job: &Job, epoch| {
        let order = Order::of(job, epoch, 500);
        (0..500).map(|position| order.sample_at(position)).collect::<Vec<_>>()
    };
    assert_eq!(samples(&grown, 1), samples(&windowed(8, 2, 10, 20), 1));
    assert_eq!(samples(&grown, 2), samples(&windowed(16, 2, 10, 20), 2));
    assert_ne!(samples(&grown, 2), samples(&windowed(8, 2, 10, 20), 2));
}
