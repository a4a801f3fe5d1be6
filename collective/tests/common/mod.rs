//! Workers as threads of the test: each has its own endpoint and group, over real shared memory and sockets.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lockstep_collective::{Endpoint, Error, Group, Member, Membership, Shape};

pub const BUDGET: Duration = Duration::from_secs(60);

/// Node, share and threads of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    pub node: usize,
    pub share: u32,
    pub threads: u32,
}

pub fn endpoint() -> Endpoint {
    Endpoint::bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap()
}

/// The membership of `workers` at `endpoints`, as rank 0 sees it.
pub fn membership(workers: &[Worker], endpoints: &[Endpoint]) -> Membership {
    let member = |(worker, endpoint): (&Worker, &Endpoint)| Member {
        node: format!("node{}", worker.node),
        tcp: endpoint.tcp(),
        unix: endpoint.unix().into(),
        share: worker.share,
        threads: worker.threads,
    };
    Membership {
        generation: 5,
        generation_id: [7; 16],
        secret: [9; 32],
        rank: 0,
        members: workers.iter().zip(endpoints).map(member).collect(),
    }
}

/// Sets the flag when its thread panics, so that the other workers of a failed test don't wait for it.
struct AbortOnPanic(Arc<AtomicBool>);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Connects all workers, runs `body` with each in a thread of its own, and returns what they return.
/// One abort flag serves all.
pub fn run<T: Send>(
    workers: &[Worker],
    shape: Shape,
    body: impl Fn(usize, Result<Group, Error>, Arc<AtomicBool>) -> T + Sync,
) -> Vec<T> {
    let endpoints: Vec<Endpoint> = workers.iter().map(|_| endpoint()).collect();
    let membership = membership(workers, &endpoints);
    let abort = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        let join = |(rank, endpoint)| {
            let membership = Membership { rank: rank as u32, ..membership.clone() };
            let (body, abort) = (&body, abort.clone());
            scope.spawn(move || {
                let _guard = AbortOnPanic(abort.clone());
                body(rank, Group::connect(endpoint, membership, shape, BUDGET, abort.clone()), abort)
            })
        };
        let threads: Vec<_> = endpoints.iter().enumerate().map(join).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
