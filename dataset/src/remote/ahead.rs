//! Samples on their way before they are asked for: what a worker's lanes are going to read is known.
//!
//! A plan is walked from the step at hand on, for a number of bytes, whatever their number of samples. What lies on this
//! machine's disk is only announced to the system; the rest is asked of the store, neighbours together, some requests at
//! a time. What a later walk doesn't come by is let go of, so that memory holds no more than a walk.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};
use tokio::sync::Semaphore;

use super::{Remote, Waits, io};
use crate::manifest::Index;
use crate::monitor::Monitor;
use crate::shards::Files;

/// What will be read, sample by sample, from the step at hand on. Called for each walk.
pub type Plan = Arc<dyn Fn() -> Box<dyn Iterator<Item = u64> + Send> + Send + Sync>;

/// What the system is told of at once: it has a cache of its own.
const LOCAL_BYTES: u64 = 32 << 20;
/// Requests under way. With a latency of 20 ms they bring a few thousand samples a second.
const REQUESTS: usize = 64;
/// Samples whose requests are made together: neighbours among them share one.
const TOGETHER: usize = 256;
/// Bytes between two samples that are rather brought along than asked for anew.
const GAP: u64 = 64 << 10;
/// Of one request.
const REQUEST_BYTES: u64 = 4 << 20;
/// What a sample costs besides its bytes.
const OVERHEAD: u64 = 128;
/// Samples by which who asks may be away from the order of the plan.
const STRAY: usize = 512;
/// A walk may take one part in so many of the time.
const SHARE: u32 = 20;
/// Longer than the store is tried: who waits asks by himself then.
const MOST_WAITING: Duration = Duration::from_secs(150);

/// A split's samples that are on their way.
#[derive(Debug)]
pub struct Ahead {
    shared: Arc<Shared>,
}

struct Shared {
    index: Arc<Index>,
    files: Arc<Files>,
    /// Bytes of a walk.
    most: u64,
    requests: Semaphore,
    state: Monitor<State>,
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    /// Whether the plan goes on behind the last walk, or was not walked at all.
    goes_on: bool,
    /// Samples of the plan that were asked for, and how many make a new walk worth it.
    taken: usize,
    walk_at: usize,
    slots: HashMap<u64, Slot>,
    is_running: bool,
    is_over: bool,
}

/// What is known of a sample that the last walk came by.
enum Slot {
    /// On this machine's disk.
    Local,
    /// Asked for.
    Coming,
    /// In memory.
    Here(Bytes),
}

/// A sample's bytes in its shard.
struct Wanted {
    sample: u64,
    shard: usize,
    bytes: Range<u64>,
}

impl Ahead {
    /// For a split's samples; holds up to `most` bytes.
    pub(crate) fn new(index: Arc<Index>, files: Arc<Files>, most: u64) -> Self {
        let most = if files.remote().is_some() { most } else { most.min(LOCAL_BYTES) };
        let (requests, state) = (Semaphore::new(REQUESTS), Monitor::default());
        Self { shared: Arc::new(Shared { index, files, most, requests, state }) }
    }

    /// Says what will be read from now on, in place of what was said before.
    pub fn expect(&self, plan: Plan) {
        let mut state = self.shared.state.lock();
        (state.plan, state.goes_on, state.taken, state.walk_at) = (Some(plan), true, 0, 0);
        if !state.is_running && self.shared.most > 0 {
            let shared = Arc::clone(&self.shared);
            // Without the thread each sample is read when it is needed.
            state.is_running = thread::Builder::new().name("data-ahead".into()).spawn(move || shared.run()).is_ok();
        }
        self.shared.state.notify();
    }

    /// A sample's bytes as they came from the store, if they are here or on their way.
    pub(crate) fn take(&self, sample: u64) -> Option<Bytes> {
        let until = Instant::now() + MOST_WAITING;
        let mut state = self.shared.state.lock();
        state.slots.get(&sample)?;
        state.taken += 1;
        if state.taken == state.walk_at {
            self.shared.state.notify();
        }
        let _waits = Waits::begin();
        loop {
            match state.slots.get(&sample)? {
                Slot::Local => return None,
                Slot::Here(bytes) => return Some(bytes.clone()),
                Slot::Coming => {
                    let left = until.checked_duration_since(Instant::now())?;
                    state = self.shared.state.wait_for(state, left);
                }
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.state.change(|state| state.is_over = true);
    }
}

impl Shared {
    fn run(self: &Arc<Self>) {
        while let Some((plan, taken)) = self.next_plan() {
            let began = Instant::now();
            self.walk(&plan, taken);
            self.rest(began.elapsed() * SHARE);
        }
    }

    /// Waits until there is something to walk: a plan, and how many of its samples are behind. None when all is over.
    fn next_plan(&self) -> Option<(Plan, usize)> {
        let is_idle = |state: &mut State| {
            !state.is_over && (state.plan.is_none() || !state.goes_on || state.taken < state.walk_at)
        };
        let mut state = self.state.wait_while(is_idle);
        state.goes_on = false;
        // Threads don't take samples quite in the order of the plan.
        let behind = state.taken.saturating_sub(STRAY);
        if state.is_over { None } else { state.plan.clone().map(|plan| (plan, behind)) }
    }

    fn rest(&self, long: Duration) {
        self.state.wait_while_for(long, |state| !state.is_over);
    }

    fn walk(self: &Arc<Self>, plan: &Plan, behind: usize) {
        let (mut left, mut passed, mut batch, mut goes_on) = (self.most, HashSet::new(), Vec::new(), false);
        for sample in plan().skip(behind) {
            // A table that can't be read is told to who needs it.
            let Ok((location, record)) = self.index.record(sample) else { break };
            let Some(rest) = left.checked_sub(u64::from(record.length) + OVERHEAD) else {
                goes_on = true;
                break;
            };
            left = rest;
            if !passed.insert(sample) || self.state.lock().slots.contains_key(&sample) {
                continue;
            }
            let bytes = record.offset()..record.offset() + u64::from(record.length);
            if let Ok(Some(file)) = self.files.here(location.shard) {
                let _ = fadvise(&*file, bytes.start, std::num::NonZero::new(record.length.into()), Advice::WillNeed);
                self.state.lock().slots.insert(sample, Slot::Local);
                continue;
            }
            batch.push(Wanted { sample, shard: location.shard, bytes });
            if batch.len() == TOGETHER {
                self.ask(&mut batch);
            }
        }
        self.ask(&mut batch);
        let mut state = self.state.lock();
        state.slots.retain(|sample, _| passed.contains(sample));
        // Unless there is another plan by now, which was not walked.
        if !state.goes_on {
            (state.goes_on, state.walk_at) = (goes_on, behind + STRAY + passed.len() / 4);
        }
    }

    /// Asks the store for samples.
    fn ask(self: &Arc<Self>, batch: &mut Vec<Wanted>) {
        let (Some(remote), Ok(io)) = (self.files.remote(), io()) else { return batch.clear() };
        {
            let mut state = self.state.lock();
            batch.iter().for_each(|wanted| _ = state.slots.insert(wanted.sample, Slot::Coming));
        }
        for together in neighbours(batch) {
            let (shared, remote) = (Arc::clone(self), remote.clone());
            let name = self.index.manifest.shards[together[0].shard].name.clone();
            io.spawn(async move { shared.bring(&remote, &name, together).await });
        }
    }

    /// Brings samples that lie side by side in a shard. What fails is asked for again by who needs it.
    async fn bring(&self, remote: &Remote, name: &str, together: Vec<Wanted>) {
        let all = together[0].bytes.start..end(&together);
        let Ok(_permit) = self.requests.acquire().await else { return };
        let brought = if self.is_wanted(&together) { remote.range(name, all.clone()).await.ok() } else { None };
        let mut state = self.state.lock();
        for Wanted { sample, bytes, .. } in together {
            match (&brought, state.slots.get_mut(&sample)) {
                (Some(brought), Some(slot)) => {
                    let here = (bytes.start - all.start) as usize..(bytes.end - all.start) as usize;
                    // A copy: what lies between neighbours goes.
                    *slot = Slot::Here(Bytes::copy_from_slice(&brought[here]));
                }
                (None, Some(_)) => _ = state.slots.remove(&sample),
                // Let go of meanwhile.
                (_, None) => {}
            }
        }
        self.state.notify();
    }

    fn is_wanted(&self, together: &[Wanted]) -> bool {
        let state = self.state.lock();
        !state.is_over && together.iter().any(|wanted| state.slots.contains_key(&wanted.sample))
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("most", &self.most).finish_non_exhaustive()
    }
}

/// Puts those together that lie side by side, or nearly so; the soonest needed first, as far as that goes.
fn neighbours(batch: &mut Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut order: HashMap<u64, usize> = HashMap::new();
    batch.iter().enumerate().for_each(|(place, wanted)| _ = order.insert(wanted.sample, place));
    batch.sort_by_key(|wanted| (wanted.shard, wanted.bytes.start));
    let mut groups: Vec<Vec<Wanted>> = Vec::new();
    for wanted in batch.drain(..) {
        let joins = |group: &&mut Vec<Wanted>| {
            group[0].shard == wanted.shard
                && wanted.bytes.start <= end(group) + GAP
                && wanted.bytes.end.max(end(group)) - group[0].bytes.start <= REQUEST_BYTES
        };
        match groups.last_mut().filter(joins) {
            Some(group) => group.push(wanted),
            None => groups.push(vec![wanted]),
        }
    }
    groups.sort_by_key(|group| group.iter().map(|wanted| order[&wanted.sample]).min());
    groups
}

/// Where the last of neighbours ends. A manifest may have records that overlap.
fn end(together: &[Wanted]) -> u64 {
    together.iter().map(|wanted| wanted.bytes.end).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_request() {
        let wanted = |sample, shard, start: u64| Wanted { sample, shard, bytes: start..start + 1000 };
        let mut batch = vec![
            wanted(1, 7, 5_000_000),
            wanted(2, 3, 0),
            wanted(3, 7, 5_001_024),
            wanted(4, 7, 0),
            wanted(5, 3, 1000 + GAP),
            wanted(6, 3, 2002 + 2 * GAP),
        ];
        let groups = neighbours(&mut batch);
        let samples: Vec<Vec<u64>> = groups.iter().map(|group| group.iter().map(|w| w.sample).collect()).collect();
        assert_eq!(samples, [vec![1, 3], vec![2, 5], vec![4], vec![6]]);
        // Of a manifest that nobody should trust.
        let mut overlapping = vec![
            Wanted { sample: 1, shard: 0, bytes: 0..100_000 },
            Wanted { sample: 2, shard: 0, bytes: 512..600 },
            Wanted { sample: 3, shard: 0, bytes: 150_000..150_100 },
        ];
        let groups = neighbours(&mut overlapping);
        assert_eq!((groups.len(), end(&groups[0])), (1, 150_100));
        let mut large: Vec<Wanted> =
            (0..20).map(|n| Wanted { sample: n, shard: 0, bytes: n << 20..(n + 1) << 20 }).collect();
        assert!(neighbours(&mut large).iter().all(|group| group.len() == 4));
    }
}
