//! Aborts, lost members, wrong decisions and strangers.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{BUDGET, Worker, endpoint, membership};
use lockstep_collective::{Endpoint, Error, Group, Membership, Shape, Tag};

const SHAPE: Shape = Shape { parameters: 100_000, sums: 1, counts: 1, max_lanes: 4 };
const TAG: Tag = Tag { step: 3, pass: 0 };

fn two(nodes: [usize; 2]) -> [Worker; 2] {
    nodes.map(|node| Worker { node, share: 1, threads: 1 })
}

#[test]
fn a_reduction_that_waits_ends_when_aborted() {
    for nodes in [[0, 0], [0, 1]] {
        let (leave, stay) = mpsc::channel::<()>();
        let (leave, stay) = (std::sync::Mutex::new(Some(leave)), std::sync::Mutex::new(stay));
        common::run(&two(nodes), SHAPE, |rank, group, abort| {
            let mut group = group.unwrap();
            if rank == 1 {
                // Connected, but never comes to the reduction.
                let _ = stay.lock().unwrap().recv();
                return;
            }
            let reducing = thread::spawn(move || group.reduce(4, TAG, None).map(|_| ()));
            abort.store(true, Ordering::Relaxed);
            assert!(matches!(reducing.join().unwrap(), Err(Error::Aborted)));
            leave.lock().unwrap().take();
        });
    }
}

#[test]
fn a_member_that_ends_is_named_with_its_address() {
    let (gone, wait) = mpsc::channel::<()>();
    let (gone, wait) = (std::sync::Mutex::new(Some(gone)), std::sync::Mutex::new(wait));
    common::run(&two([0, 1]), SHAPE, |rank, group, _| {
        let mut group = group.unwrap();
        if rank == 1 {
            drop(group);
            gone.lock().unwrap().take();
            return;
        }
        let _ = wait.lock().unwrap().recv();
        let error = group.reduce(4, TAG, None).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Lost { rank: 1, .. }), "{error}");
        assert!(error.to_string().contains("lost rank 1 at 127.0.0.1:"), "{error}");
    });
}

#[test]
fn members_in_different_reductions_notice() {
    let errors = common::run(&two([0, 1]), SHAPE, |rank, group, _| {
        let mut group = group.unwrap();
        // A different number of lanes makes messages of a different length, too.
        let error = group.reduce(4 - rank as u32, TAG, None).map(|_| ()).unwrap_err();
        // Kept until both have compared.
        (error, group)
    });
    for (error, _) in &errors {
        let known = matches!(error, Error::Desync { .. });
        assert!(known, "{error}");
    }
    assert!(errors[0].0.to_string().contains("generation 5 step 3 pass 0 with 3 lanes"), "{}", errors[0].0);
}

/// Connects the members of `membership` at `endpoints` in threads.
fn connect_all(endpoints: &[Endpoint], membership: &Membership) -> Vec<Result<Group, Error>> {
    thread::scope(|scope| {
        let connect = |(rank, endpoint)| {
            let membership = Membership { rank: rank as u32, ..membership.clone() };
            scope.spawn(move || Group::connect(endpoint, membership, SHAPE, BUDGET, Arc::default()))
        };
        let threads: Vec<_> = endpoints.iter().enumerate().map(connect).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn strangers_and_garbage_do_not_keep_members_from_meeting() {
    let workers = [0, 0, 1].map(|node| Worker { node, share: 1, threads: 1 });
    let endpoints = workers.map(|_| endpoint());
    let members = membership(&workers, &endpoints);
    let unix = SocketAddr::from_abstract_name(endpoints[0].unix()).unwrap();
    let mut strangers: Vec<Box<dyn Write>> = Vec::new();
    for _ in 0..20 {
        strangers.push(Box::new(TcpStream::connect(endpoints[0].tcp()).unwrap()));
        strangers.push(Box::new(UnixStream::connect_addr(&unix).unwrap()));
    }
    // Half of them say something, all stay connected.
    strangers.iter_mut().step_by(3).for_each(|stranger| stranger.write_all(&[b'x'; 500]).unwrap());
    for group in connect_all(&endpoints, &members) {
        group.unwrap();
    }
}

#[test]
fn members_of_an_old_generation_or_with_a_wrong_secret_stay_outside() {
    let wrong = |members: &Membership| {
        [
            Membership { secret: [1; 32], ..members.clone() },
            Membership { generation: 4, ..members.clone() },
            Membership { generation_id: [1; 16], ..members.clone() },
        ]
    };
    for nodes in [[0, 0], [0, 1]] {
        let endpoints = [endpoint(), endpoint()];
        let members = membership(&two(nodes), &endpoints);
        let abort = Arc::new(AtomicBool::new(false));
        thread::scope(|scope| {
            let intruders: Vec<_> = wrong(&members)
                .into_iter()
                .map(|wrong| {
                    let (abort, own) = (abort.clone(), Membership { rank: 1, ..wrong });
                    scope.spawn(move || Group::connect(&endpoint(), own, SHAPE, BUDGET, abort).map(|_| ()))
                })
                .collect();
            for group in connect_all(&endpoints, &members) {
                group.unwrap();
            }
            abort.store(true, Ordering::Relaxed);
            for intruder in intruders {
                assert!(matches!(intruder.join().unwrap(), Err(Error::Aborted)));
            }
        });
    }
}

#[test]
fn endpoints_serve_one_generation_after_another_past_what_earlier_and_later_ones_sent() {
    let (endpoints, early) = ([endpoint(), endpoint()], endpoint());
    let members = membership(&two([0, 1]), &endpoints);
    let mut last = Membership { generation: 9, ..members.clone() };
    last.members[1].tcp = early.tcp();
    thread::scope(|scope| {
        // Knocks from the start, and is a member of the last generation only.
        let own = Membership { rank: 1, ..last.clone() };
        let early = scope.spawn(|| Group::connect(&early, own, SHAPE, BUDGET, Arc::default()).map(|_| ()));
        let mut open = Vec::new();
        for generation in 5..8 {
            // More than are waited for at a time, half of them closed by the time they are looked at.
            let left = (0..200).map(|_| TcpStream::connect(endpoints[0].tcp()).unwrap());
            open.extend(left.enumerate().filter_map(|(index, stream)| (index % 2 == 0).then_some(stream)));
            for group in connect_all(&endpoints, &Membership { generation, ..members.clone() }) {
                group.unwrap();
            }
        }
        Group::connect(&endpoints[0], last, SHAPE, BUDGET, Arc::default()).unwrap();
        early.join().unwrap().unwrap();
    });
}

#[test]
fn who_does_not_come_in_time_is_named() {
    let endpoints = [endpoint(), endpoint()];
    let members = membership(&two([0, 1]), &endpoints);
    let budget = Duration::from_millis(1);
    let error = Group::connect(&endpoints[0], members, SHAPE, budget, Arc::default()).err().unwrap();
    assert!(error.to_string().contains(&format!("rank 1 at {}", endpoints[1].tcp())), "{error}");
}

#[test]
fn lanes_beyond_what_the_group_was_made_for_are_refused() {
    common::run(&[Worker { node: 0, share: 1, threads: 1 }], SHAPE, |_, group, _| {
        let mut group = group.unwrap();
        assert!(matches!(group.hands(5).map(|_| ()), Err(Error::Lanes { lanes: 5, max_lanes: 4 })));
        assert!(matches!(group.reduce(0, TAG, None).map(|_| ()), Err(Error::Lanes { lanes: 0, .. })));
        assert!(group.reduce_tally(1_000_000, TAG).is_ok());
    });
}
