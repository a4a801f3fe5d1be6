use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use super::*;

const SIZE: Size = Size { participants: 2, words: 8, floats: 10_000 };

fn pair() -> (SharedMemory, SharedMemory) {
    let first = SharedMemory::create(SIZE, Seat { index: 0, crowded: false }).unwrap();
    let descriptor = first.descriptor().try_clone_to_owned().unwrap();
    (first, SharedMemory::open(descriptor, SIZE, Seat { index: 1, crowded: true }).unwrap())
}

#[test]
fn both_sides_see_what_the_other_wrote_before_the_barrier() {
    let (mut first, mut second) = pair();
    let go_on = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=1000 {
                first.exclusive(&[0..1, 4999..5000])[1][0] = round as f32;
                first.words(0..1)[0].store(round, Ordering::Relaxed);
                first.meet(&go_on).unwrap();
                first.meet(&go_on).unwrap();
            }
        });
        for round in 1..=1000 {
            second.meet(&go_on).unwrap();
            assert_eq!(second.read(4999..5000), [round as f32]);
            assert_eq!(second.words(0..8)[0].load(Ordering::Relaxed), round);
            second.meet(&go_on).unwrap();
        }
    });
}

#[test]
fn a_wait_for_somebody_who_never_comes_ends_with_the_abort_flag() {
    let (mut first, _second) = pair();
    let abort = Arc::new(AtomicBool::new(false));
    let waiting = thread::spawn({
        let abort = abort.clone();
        move || first.meet(&abort)
    });
    abort.store(true, Ordering::Relaxed);
    assert_eq!(waiting.join().unwrap(), Err(Aborted));
}

#[test]
fn memory_of_another_size_or_without_seals_is_refused() {
    let (first, _second) = pair();
    let larger = Size { floats: 20_000, ..SIZE };
    let descriptor = first.descriptor().try_clone_to_owned().unwrap();
    let refused = SharedMemory::open(descriptor, larger, Seat { index: 1, crowded: false });
    assert!(matches!(refused, Err(SharedMemoryError::Foreign { sealed: true, .. })));

    let unsealed = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(unsealed.as_fd(), SIZE.bytes() as u64).unwrap();
    let refused = SharedMemory::open(unsealed, SIZE, Seat { index: 1, crowded: false });
    assert!(matches!(refused, Err(SharedMemoryError::Foreign { sealed: false, .. })));
    assert!(rustix::fs::ftruncate(first.descriptor(), 0).is_err(), "the size is sealed");
}

#[test]
#[should_panic(expected = "views overlap")]
fn overlapping_views_are_refused() {
    pair().0.exclusive(&[0..10, 9..12]);
}

#[test]
#[should_panic(expected = "being written")]
fn the_rest_does_not_reach_into_the_written_range() {
    let (mut first, _second) = pair();
    let (rest, _written) = first.split(100..200);
    rest.read(199..300);
}

#[test]
fn sums_equal_plain_additions_at_any_alignment_and_length() {
    let values =
        |seed: u32| -> Vec<f32> { (0..300u32).map(|i| (i * 7919 + seed * 104_729) as f32 * 0.37e-3).collect() };
    let (a, b, c, d) = (values(1), values(2), values(3), values(4));
    for stores in [Stores::Cached, Stores::Streaming] {
        for (start, len) in [(0, 300), (1, 0), (3, 1), (5, 255), (16, 64), (17, 70)] {
            let part = start..start + len;
            let mut to = vec![0.0; 300];
            add(&mut to[part.clone()], &a[part.clone()], &b[part.clone()], stores);
            assert!(part.clone().all(|i| to[i] == a[i] + b[i]));
            add_assign(&mut to[part.clone()], &c[part.clone()]);
            assert!(part.clone().all(|i| to[i] == (a[i] + b[i]) + c[i]));
            let four = [&a, &b, &c, &d].map(|run| &run[part.clone()]);
            add_four(&mut to[part.clone()], four, stores);
            assert!(part.clone().all(|i| to[i] == (a[i] + b[i]) + (c[i] + d[i])));
            copy(&mut to[part.clone()], &d[part.clone()], stores);
            assert!(part.clone().all(|i| to[i] == d[i]));
        }
    }
}
