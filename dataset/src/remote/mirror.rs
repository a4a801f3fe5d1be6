//! Whole shards on their way to this machine's disk, in the order in which a job is going to need them.
//!
//! A shard comes where there is room for it. Others make room only if a good part of it is going to be read soon, and only
//! those that are read later: of a dataset that is larger than the cache, read in an order over all of it, what is there
//! stays, and the rest is read sample by sample.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Remote;
use super::ahead::Plan;
use super::cache::Draft;
use crate::manifest::{Hash, Index, Shard};
use crate::monitor::Monitor;
use crate::shards::{Files, ShardError};

/// Shards that come at once.
const AT_ONCE: usize = 3;
/// Samples of a plan that are looked at.
const MOST_SAMPLES: usize = 1 << 21;
/// How often, at most.
const PAUSE: Duration = Duration::from_secs(5);
/// A shard is worth others' room if one byte in so many of it is needed before long.
const WORTH: u64 = 4;

/// Brings a split's shards.
#[derive(Debug)]
pub struct Mirror {
    shared: Arc<Shared>,
}

struct Shared {
    index: Arc<Index>,
    files: Arc<Files>,
    state: Monitor<State>,
}

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    looked: Option<Instant>,
    list: Arc<List>,
    queue: VecDeque<Wanted>,
    /// Shards that came otherwise than they should be, and how often.
    refused: HashMap<usize, u32>,
    /// One that came so twice, and its hash: another copy will not mend it.
    damage: Option<(usize, Hash)>,
    is_running: bool,
    is_over: bool,
}

/// When which shard is needed, by its hash: the place among those that are.
type List = HashMap<String, usize>;

/// A shard to bring.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    shard: usize,
    is_worth_it: bool,
}

impl Mirror {
    /// For a split's shards.
    pub(crate) fn new(index: Arc<Index>, files: Arc<Files>) -> Self {
        Self { shared: Arc::new(Shared { index, files, state: Monitor::default() }) }
    }

    /// Says what will be read from now on, in place of what was said before.
    pub fn expect(&self, plan: Plan) {
        let mut state = self.shared.state.lock();
        state.plan = Some(plan);
        if !state.is_running && self.shared.files.cache().is_some() {
            state.is_running = true;
            for _ in 0..AT_ONCE {
                let shared = Arc::clone(&self.shared);
                // Without the threads samples are read one by one.
                let _ = thread::Builder::new().name("data-mirror".into()).spawn(move || shared.run());
            }
        }
        self.shared.state.notify();
    }

    /// Brings all shards for which there is room, and waits for them.
    pub fn bring_all(&self) {
        let next = Mutex::new(0..self.shared.index.manifest.shards.len());
        let run = || {
            while let Some(shard) = { next.lock().unwrap_or_else(PoisonError::into_inner).next() } {
                self.shared.bring(Wanted { shard, is_worth_it: false }, &List::new());
            }
        };
        thread::scope(|scope| (0..AT_ONCE).for_each(|_| _ = scope.spawn(run)));
    }

    /// Whether all that came was what it should be.
    ///
    /// # Errors
    /// If a shard was not, twice.
    pub(crate) fn check(&self) -> Result<(), ShardError> {
        let Some((number, found)) = self.shared.state.lock().damage else { return Ok(()) };
        let wanted = self.shared.index.manifest.shards[number].blake3;
        Err(ShardError::Changed { path: self.shared.files.path(number), found, wanted })
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.state.change(|state| state.is_over = true);
    }
}

impl Shared {
    fn run(&self) {
        while let Some((wanted, list)) = self.next() {
            self.bring(wanted, &list);
        }
    }

    /// Waits for a shard to bring; none when all is over.
    fn next(&self) -> Option<(Wanted, Arc<List>)> {
        let mut state = self.state.lock();
        loop {
            if state.is_over {
                return None;
            }
            if let Some(wanted) = state.queue.pop_front() {
                return Some((wanted, Arc::clone(&state.list)));
            }
            let is_due = state.looked.is_none_or(|looked| looked.elapsed() >= PAUSE);
            match state.plan.clone() {
                Some(plan) if is_due => {
                    state.looked = Some(Instant::now());
                    drop(state);
                    let (list, queue) = self.look(&plan);
                    state = self.state.lock();
                    (state.list, state.queue) = (Arc::new(list), queue);
                    self.state.notify();
                }
                _ => state = self.state.wait_for(state, PAUSE),
            }
        }
    }

    /// Which shards a plan needs in which order, and which of them are to be brought.
    fn look(&self, plan: &Plan) -> (List, VecDeque<Wanted>) {
        let (mut list, mut order, mut needed) = (List::new(), Vec::new(), HashMap::new());
        let Some(cache) = self.files.cache() else { return (list, VecDeque::new()) };
        let shards = &self.index.manifest.shards;
        // No further than the cache could go: what lies behind is not yet wanted there.
        let mut left = cache.most;
        for sample in plan().take(MOST_SAMPLES) {
            let Ok((location, record)) = self.index.record(sample) else { break };
            if !needed.contains_key(&location.shard) {
                let Some(rest) = left.checked_sub(shards[location.shard].bytes) else { break };
                left = rest;
                order.push(location.shard);
            }
            *needed.entry(location.shard).or_insert(0) += u64::from(record.length);
        }
        self.files.close(|shard| !needed.contains_key(&shard));
        order.iter().enumerate().for_each(|(place, shard)| _ = list.insert(shards[*shard].blake3.to_string(), place));
        let state = self.state.lock();
        let queue = order
            .into_iter()
            .filter(|shard| !cache.has(&shards[*shard]) && state.refused.get(shard).is_none_or(|times| *times < 2))
            .map(|shard| Wanted { shard, is_worth_it: needed[&shard] >= shards[shard].bytes / WORTH })
            .collect();
        (list, queue)
    }

    /// Brings a shard, if there is room.
    fn bring(&self, Wanted { shard: number, is_worth_it }: Wanted, list: &List) {
        let (Some(cache), Some(remote)) = (self.files.cache(), self.files.remote()) else { return };
        let shard = &self.index.manifest.shards[number];
        let draft = cache.draft(shard, is_worth_it, &|hash| list.get(hash).copied());
        let brought = draft.and_then(|draft| match draft {
            Some(draft) => self.fill(remote, shard, draft),
            None => Ok(None),
        });
        match brought {
            Ok(None) => {}
            Ok(Some(found)) => self.refuse(number, found),
            // The disk's own: another shard would fare no better.
            Err(error) if error.raw_os_error().is_some() => self.give_up(&error),
            Err(error) => tracing::debug!("{}: not kept on this machine: {error}", remote.path(&shard.name).display()),
        }
    }

    /// Gives the hash of a shard that came whole and is another than it should be.
    fn fill(&self, remote: &Remote, shard: &Shard, mut draft: Draft) -> io::Result<Option<Hash>> {
        remote.copy(&shard.name, shard.bytes, |piece| match self.state.lock().is_over {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => draft.write(piece),
        })?;
        draft.publish()
    }

    /// Brings no more: samples are read one by one.
    fn give_up(&self, error: &io::Error) {
        self.state.change(|state| {
            if !state.is_over {
                tracing::warn!("shards of {} can't be kept on this machine: {error}", self.files);
            }
            state.is_over = true;
        });
    }

    fn refuse(&self, shard: usize, found: Hash) {
        let mut state = self.state.lock();
        let times = state.refused.entry(shard).or_insert(0);
        *times += 1;
        if *times >= 2 {
            state.damage.get_or_insert((shard, found));
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
