//! A broadcast gives everybody the source's bytes, and leaves reductions as they are.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use common::Worker;
use lockstep_collective::{Error, Group, Shape, Tag};
use proptest::prelude::*;

const LANES: u32 = 6;

/// Bytes of a parcel, around which lengths are tried.
const PARCEL: usize = 256 << 10;

fn shape(parameters: usize) -> Shape {
    Shape { parameters, sums: 1, counts: 1, max_lanes: LANES }
}

/// Workers on the given nodes, each with one share and thread.
fn on(nodes: &[usize]) -> Vec<Worker> {
    nodes.iter().map(|&node| Worker { node, share: 1, threads: 1 }).collect()
}

/// Nodes a, a, b, c, c; the workers at the end of a and c hold no lanes.
fn with_spares() -> Vec<Worker> {
    let mut workers = on(&[0, 0, 1, 2, 2]);
    workers[1].share = 0;
    workers[4] = Worker { node: 2, share: 0, threads: 2 };
    workers
}

/// All bit patterns of a byte in turn, after floats whose bits arithmetic would change.
fn payload(length: usize, salt: u8) -> Vec<u8> {
    let floats = [-0.0, f32::from_bits(0x7f80_0001), f32::from_bits(0xffc0_1234), f32::from_bits(1)];
    let special = floats.into_iter().flat_map(f32::to_le_bytes);
    let rest = (0..).map(|index: usize| (index ^ (index >> 8) ^ (index >> 16)) as u8 ^ salt);
    special.chain(rest).take(length).collect()
}

/// A reduction of small whole numbers, whose sum is exact.
fn reduce(group: &mut Group, step: u64) {
    let lane = |lane: u32, index: usize| (u64::from(lane) * 3 + step + index as u64 % 100) as f32;
    for subtree in group.hands(LANES).unwrap().iter_mut().flat_map(|hand| &mut hand.subtrees) {
        for (index, to) in subtree.gradient.iter_mut().enumerate() {
            *to = subtree.lanes.clone().map(|number| lane(number, index)).sum();
        }
        subtree.tally.counts[0] += u64::from(subtree.lanes.end - subtree.lanes.start);
    }
    let reduced = group.reduce(LANES, Tag { step, pass: 0 }, None).unwrap();
    let expected = |index| (0..LANES).map(|number| lane(number, index)).sum::<f32>();
    assert!(reduced.gradient.iter().enumerate().all(|(index, &sum)| sum == expected(index)), "step {step}");
    assert_eq!(reduced.tally.counts, [u64::from(LANES)]);
}

/// Broadcasts from all given sources with all given lengths, each between two reductions but for the first.
fn all_have_the_bytes(workers: &[Worker], parameters: usize, broadcasts: &[(u32, usize)]) {
    common::run(workers, shape(parameters), |rank, group, _| {
        let mut group = group.unwrap();
        for (step, &(source, length)) in (0..).zip(broadcasts) {
            let expected = payload(length, step as u8);
            // What others held before is shorter or longer, and goes.
            let own = rank == source as usize;
            let mut bytes = if own { expected.clone() } else { vec![0xaa; 1000 * rank] };
            group.broadcast(source, Tag { step, pass: 1 }, &mut bytes).unwrap();
            assert!(bytes == expected, "{length} bytes from rank {source} at rank {rank}");
            if step % 3 > 0 {
                reduce(&mut group, step);
            }
        }
    });
}

fn memberships() -> impl Strategy<Value = Vec<Worker>> {
    prop_oneof![Just(on(&[0])), Just(on(&[0, 0, 0])), Just(on(&[0, 1])), Just(on(&[0, 1, 1])), Just(with_spares()),]
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..9usize, 1000..5000usize, PARCEL - 2..PARCEL + 2, 2 * PARCEL..4 * PARCEL]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everybody_gets_the_bytes_and_sums_stay_right(
        workers in memberships(),
        parameters in prop_oneof![0..100usize, 4090..4100usize, 20_000..70_000usize],
        broadcasts in proptest::collection::vec((0..5u32, lengths()), 1..6),
    ) {
        let members = workers.len() as u32;
        let broadcasts: Vec<_> = broadcasts.into_iter().map(|(source, length)| (source % members, length)).collect();
        all_have_the_bytes(&workers, parameters, &broadcasts);
    }
}

#[test]
fn any_member_can_be_the_source_of_any_length() {
    for workers in [on(&[0]), on(&[0, 0, 0]), on(&[0, 1, 1]), with_spares()] {
        let sources = 0..workers.len() as u32;
        let of_source = |source| [0, 1, 3 * PARCEL + 7].map(|length| (source, length));
        all_have_the_bytes(&workers, 10, &sources.flat_map(of_source).collect::<Vec<_>>());
    }
}

#[test]
fn a_payload_much_longer_than_the_systems_buffers() {
    all_have_the_bytes(&with_spares(), 100, &[(4, 20 << 20), (0, 5)]);
}

#[test]
fn an_abort_ends_a_broadcast_whose_source_never_comes() {
    for nodes in [[0, 0], [0, 1]] {
        let (leave, stay) = mpsc::channel::<()>();
        let (leave, stay) = (Mutex::new(Some(leave)), Mutex::new(stay));
        common::run(&on(&nodes), shape(10), |rank, group, abort: Arc<AtomicBool>| {
            let mut group = group.unwrap();
            if rank == 1 {
                // Connected, but never comes to the broadcast.
                let _ = stay.lock().unwrap().recv();
                return;
            }
            let waiting = thread::spawn(move || group.broadcast(1, Tag { step: 0, pass: 0 }, &mut Vec::new()));
            abort.store(true, Ordering::Relaxed);
            assert!(matches!(waiting.join().unwrap(), Err(Error::Aborted)));
            leave.lock().unwrap().take();
        });
    }
}

#[test]
fn members_in_different_broadcasts_notice() {
    let tag = Tag { step: 4, pass: 0 };
    let one_source_each = |rank, group: &mut Group| group.broadcast(rank, tag, &mut Vec::new());
    let one_reduces = |rank, group: &mut Group| match rank {
        0 => group.reduce(LANES, tag, None).map(|_| ()),
        _ => group.broadcast(0, tag, &mut Vec::new()),
    };
    let notice = |body: &(dyn Fn(u32, &mut Group) -> Result<(), Error> + Sync)| {
        let errors = common::run(&on(&[0, 1]), shape(10), |rank, group, _| {
            let mut group = group.unwrap();
            // The group is kept until both have compared.
            (body(rank as u32, &mut group).unwrap_err(), group)
        });
        assert!(errors.iter().all(|(error, _)| matches!(error, Error::Desync { .. })), "{}", errors[0].0);
        errors[0].0.to_string()
    };
    assert!(notice(&one_source_each).contains("the broadcast of generation 5 step 4 pass 0 from rank 1"));
    assert!(notice(&one_reduces).contains("the broadcast of generation 5 step 4 pass 0 from rank 0"));
}

#[test]
fn a_worker_notices_that_its_node_is_in_another_broadcast() {
    let results = common::run(&on(&[0, 0]), shape(10), |rank, group, _| {
        let mut bytes = Vec::new();
        group.unwrap().broadcast(0, Tag { step: rank as u64, pass: 0 }, &mut bytes)
    });
    assert!(matches!(&results[1], Err(Error::Desync { rank: 0, .. })), "{:?}", results[1]);
}

#[test]
fn a_source_that_is_no_member_is_refused() {
    let refused = |rank, group: Result<Group, Error>, _| {
        let mut bytes = vec![7; rank];
        let error = group.unwrap().broadcast(2, Tag { step: 0, pass: 0 }, &mut bytes).unwrap_err();
        assert!(matches!(error, Error::Stranger { rank: 2, members: 2 }), "{error}");
        assert_eq!(bytes.len(), rank);
    };
    common::run(&on(&[0, 1]), shape(10), refused);
}
