//! Between emulated GPUs as between hosts: whatever the split, the bits of the tree's definition; and an exchange that
//! hangs comes to an end.

mod common;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use common::Worker;
use lockstep_collective::{Buckets, DeviceGroup, Error, Group, Order, Shape, Tag, tree};
use lockstep_kernels::cuda::Cuda;
use lockstep_kernels::device::{Memory, Precision};
use lockstep_kernels::exchange::Exchange;

const LEN: usize = 1000;
const TAG: Tag = Tag { step: 0, pass: 0 };
const BUDGET: Duration = Duration::from_secs(60);

/// Runs `body` with a GPU for each rank, if there are any; the ranks of a test share no GPU with another test's.
fn run<T: Send>(shares: &[u32], body: impl Fn(usize, Group, Cuda, Arc<AtomicBool>) -> T + Sync) -> Vec<T> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock();
    if lockstep_emulation::device(lockstep_emulation::libraries()).is_none() {
        return Vec::new();
    }
    common::run(&workers(shares), shape(13), |rank, group, abort| {
        body(rank, group.expect("a group"), Cuda::new(rank).expect("a GPU"), abort)
    })
}

fn shape(lanes: u32) -> Shape {
    Shape { parameters: LEN, sums: 1, counts: 1, max_lanes: lanes }
}

fn workers(shares: &[u32]) -> Vec<Worker> {
    shares.iter().map(|&share| Worker { node: 0, share, threads: 1 }).collect()
}

/// Numbers whose sum depends on the order.
fn gradient(step: u32, lane: u32) -> Vec<f32> {
    (0..LEN as u32)
        .map(|i| ((i * 7 + lane * 31 + step * 3) % 101) as f32 * 1.1f32.powi((lane * 13 % 29) as i32))
        .collect()
}

/// The tree's definition.
fn sum(step: u32, node: Range<u32>) -> Vec<f32> {
    if node.len() == 1 {
        return gradient(step, node.start);
    }
    let middle = tree::middle(&node);
    let (mut left, right) = (sum(step, node.start..middle), sum(step, middle..node.end));
    left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
    left
}

fn connect(group: &mut Group, device: &mut Cuda, order: Order) -> Result<DeviceGroup<Cuda>, Error> {
    let (_, ranks) = group.rank_and_ranks();
    let transport = Cuda::transport().expect("NCCL").expect("it has memory of its own");
    let buckets = Buckets::new(LEN, ranks, &[300, 700, LEN], 200);
    DeviceGroup::connect(group, device, &transport, (order, buckets), (TAG, BUDGET))
}

/// One reduction of `lanes` lanes, bucket by bucket.
fn reduce(group: &mut Group, devices: &mut DeviceGroup<Cuda>, device: &mut Cuda, step: u32, lanes: u32) -> Vec<f32> {
    let pieces = group.pieces(lanes).expect("lanes");
    let len = devices.buckets().elements();
    let mut slots: Vec<_> = pieces.own.iter().map(|_| device.zeros::<f32>(len)).collect();
    for (slot, lanes) in slots.iter_mut().zip(&pieces.own) {
        device.write(&sum(step, lanes.clone()), Cuda::view_mut(slot, 0..LEN));
    }
    for bucket in 0..devices.buckets().len() {
        let range = devices.buckets().bucket(bucket);
        let views: Vec<_> = slots.iter().map(|slot| Cuda::view(slot, range.clone())).collect();
        devices.begin(device, &pieces, bucket, &views).expect("begun");
    }
    devices.settle(device).expect("reduced");
    let mut reduced = vec![0.0; LEN];
    device.read(devices.sum(LEN), &mut reduced);
    device.health().expect("a healthy device");
    reduced
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn any_number_of_gpus_reduces_to_the_bits_of_the_tree() {
    for shares in [&[1, 1][..], &[3, 1, 2], &[1, 0, 5], &[1, 1, 1, 1], &[1]] {
        run(shares, |_, mut group, mut device, _| {
            let mut devices = connect(&mut group, &mut device, Order::Tree).expect("connected");
            for (step, lanes) in [13, 4, 1, 13].into_iter().enumerate() {
                let reduced = reduce(&mut group, &mut devices, &mut device, step as u32, lanes);
                assert_eq!(bits(&reduced), bits(&sum(step as u32, 0..lanes)), "{shares:?} {lanes}");
            }
            devices.finish(BUDGET).expect("left in order");
        });
    }
}

#[test]
fn sums_in_any_order_are_the_same_bits_on_every_gpu() {
    for (precision, bound) in [(Precision::F32, 1e-6), (Precision::Bf16, 3e-2)] {
        let all = run(&[3, 1, 0, 2], |_, mut group, mut device, _| {
            let mut devices = connect(&mut group, &mut device, Order::Any(precision)).expect("connected");
            reduce(&mut group, &mut devices, &mut device, 0, 13)
        });
        let expected = sum(0, 0..13);
        for reduced in &all {
            assert_eq!(bits(reduced), bits(&all[0]));
            for (value, expected) in reduced.iter().zip(&expected) {
                assert!((value - expected).abs() <= bound * expected.abs(), "{value} for {expected} in {precision:?}");
            }
        }
    }
}

#[test]
fn who_waits_for_a_rank_that_does_not_come_ends_when_told() {
    let both = Barrier::new(2);
    run(&[1, 1], |rank, mut group, mut device, abort| {
        let mut devices = connect(&mut group, &mut device, Order::Tree).expect("connected");
        if rank == 0 {
            both.wait();
            abort.store(true, Ordering::Release);
            // Until then its connection stands.
            both.wait();
            return;
        }
        let pieces = group.pieces(2).expect("lanes");
        let slot = device.zeros::<f32>(devices.buckets().elements());
        let range = devices.buckets().bucket(0);
        devices.begin(&mut device, &pieces, 0, &[Cuda::view(&slot, range)]).expect("begun");
        both.wait();
        let told = Instant::now();
        assert!(matches!(devices.settle(&mut device), Err(Error::Aborted)));
        assert!(told.elapsed() < Duration::from_secs(5));
        both.wait();
        drop(devices);
        device.health().expect("the GPU goes on");
    });
}

#[test]
fn a_rank_that_leaves_is_missed_and_a_thread_that_hangs_is_freed() {
    run(&[1, 1], |rank, mut group, mut device, abort| {
        let mut devices = connect(&mut group, &mut device, Order::Tree).expect("connected");
        if rank == 0 {
            return;
        }
        let pieces = group.pieces(2).expect("lanes");
        let slot = device.zeros::<f32>(devices.buckets().elements());
        let range = devices.buckets().bucket(0);
        devices.begin(&mut device, &pieces, 0, &[Cuda::view(&slot, range)]).expect("begun");
        match devices.settle(&mut device) {
            Err(Error::Devices(how)) => assert!(how.contains("remote process exited"), "{how}"),
            other => panic!("{other:?}"),
        }
        // The exchange still hangs on the GPU: giving memory back waits for it, until the watchdog ends it.
        abort.store(true, Ordering::Release);
        drop(slot);
        device.health().expect("the GPU goes on");
    });
}
