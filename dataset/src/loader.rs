//! Threads that read, decode and augment lanes before a device needs them.
//!
//! Lanes are made in the order in which they will be asked for, several at a time, and wait in memory, no more of them than
//! there is room for. Whoever asks for a lane gets it, however early or late it was made; what was not announced, he reads
//! by himself. So pixels do not depend on any of this: only on whose time is spent on them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, MutexGuard};
use std::{io, thread};

use crate::dataset::{Dataset, Split};
use crate::monitor::Monitor;
use crate::reader::SampleReader;

/// Some are of no plan, such as lanes that are computed again.
const MOST_MISSED: usize = 4096;

/// Samples that go together.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Of which they are.
    pub split: Split,
    /// Of training, which sees samples augmented.
    pub epoch: Option<u64>,
    /// Their numbers.
    pub samples: Vec<u64>,
}

/// Lanes in the order in which they will be asked for.
pub type Lanes = Box<dyn Iterator<Item = Lane> + Send>;

/// A lane as a device takes it.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Of one sample behind the other, (channels, height, width) each.
    pub pixels: Vec<u8>,
    /// Each sample's class; none for one that can't be had, whose pixels are zeros. Who reads it himself finds out why. There
    /// are none behind a sample whose bytes can't be had.
    pub labels: Vec<Option<u16>>,
}

/// A lane is known by its first sample.
type Key = (Split, Option<u64>, u64);

/// The threads, and what they have made.
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
}

struct Shared {
    dataset: Arc<Dataset>,
    /// Lanes of each kind that are made or being made.
    most: usize,
    /// How often each training lane is asked for.
    takes: u32,
    state: Monitor<State>,
}

#[derive(Default)]
struct State {
    /// Those to make, the front first: an evaluation goes before the training that it interrupts.
    plans: VecDeque<Plan>,
    slots: HashMap<Key, Slot>,
    /// Lanes that were asked for before a thread had begun with them: none will.
    missed: HashSet<Key>,
    is_over: bool,
}

struct Plan {
    is_training: bool,
    lanes: Lanes,
    /// The next ones, as many as there is room for.
    soon: VecDeque<Lane>,
}

impl Plan {
    fn new(is_training: bool, lanes: Lanes) -> Self {
        Self { is_training, lanes, soon: VecDeque::new() }
    }

    fn look_ahead(&mut self, most: usize) {
        let missing = most.saturating_sub(self.soon.len());
        self.soon.extend(self.lanes.by_ref().filter(|lane| !lane.samples.is_empty()).take(missing));
    }
}

impl Lane {
    fn key(&self) -> Key {
        (self.split, self.epoch, self.samples[0])
    }
}

enum Slot {
    /// A thread is at it.
    Coming,
    /// It can be taken so many times.
    Here(Arc<Decoded>, u32),
}

impl Loader {
    /// Threads for a job's samples. `takes`: how often each training lane will be asked for.
    ///
    /// # Errors
    /// If the system refuses to start the threads.
    pub fn start(
        dataset: Arc<Dataset>,
        reader: &SampleReader,
        threads: usize,
        most: usize,
        takes: u32,
    ) -> io::Result<Self> {
        let most = most.max(threads + 1);
        let shared = Arc::new(Shared { dataset, most, takes, state: Monitor::default() });
        let loader = Self { shared };
        for number in 0..threads {
            let (shared, reader) = (Arc::clone(&loader.shared), reader.clone());
            thread::Builder::new().name(format!("data-{number}")).spawn(move || shared.run(reader))?;
        }
        Ok(loader)
    }

    /// Training lanes that will be asked for from now on; what else is announced or made is forgotten.
    pub fn train(&self, lanes: Lanes) {
        self.shared.state.change(|state| {
            state.slots.clear();
            state.missed.clear();
            state.plans.clear();
            state.plans.push_back(Plan::new(true, lanes));
        });
    }

    /// Lanes of an evaluation that comes before the training goes on.
    pub fn evaluate(&self, lanes: Lanes) {
        self.shared.state.change(|state| {
            state.plans.retain(|plan| plan.is_training);
            state.slots.retain(|(_, epoch, _), _| epoch.is_some());
            state.plans.push_front(Plan::new(false, lanes));
        });
    }

    /// The lane that begins with this sample, once it is made; none if it was not announced, or no thread has begun with it:
    /// none will then, since who asks is at least as fast.
    pub fn take(&self, split: Split, epoch: Option<u64>, first: u64) -> Option<Arc<Decoded>> {
        let key = (split, epoch, first);
        let mut state = self.shared.state.lock();
        if !state.slots.contains_key(&key) {
            if state.missed.len() >= MOST_MISSED {
                state.missed.clear();
            }
            state.missed.insert(key);
            return None;
        }
        self.wait_for(state, key)
    }

    /// As [`Self::take`], but waits for a thread to begin with it.
    pub fn wait(&self, split: Split, epoch: Option<u64>, first: u64) -> Option<Arc<Decoded>> {
        let key = (split, epoch, first);
        let mut state = self.shared.state.lock();
        while !state.slots.contains_key(&key) {
            let is_soon = state.plans.iter_mut().any(|plan| {
                plan.look_ahead(self.shared.most);
                plan.soon.iter().any(|lane| lane.key() == key)
            });
            if !is_soon {
                return None;
            }
            state = self.shared.state.wait(state);
        }
        self.wait_for(state, key)
    }

    /// A lane that a thread has begun with.
    fn wait_for(&self, mut state: MutexGuard<'_, State>, key: Key) -> Option<Arc<Decoded>> {
        loop {
            match state.slots.get_mut(&key)? {
                Slot::Coming => {
                    state = self.shared.state.wait(state);
                }
                Slot::Here(lane, takes) if *takes > 1 => {
                    *takes -= 1;
                    return Some(Arc::clone(lane));
                }
                Slot::Here(..) => {
                    let Some(Slot::Here(lane, _)) = state.slots.remove(&key) else { return None };
                    self.shared.state.notify();
                    return Some(lane);
                }
            }
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.state.change(|state| state.is_over = true);
    }
}

impl Shared {
    fn run(&self, mut reader: SampleReader) {
        while let Some((key, lane)) = self.next() {
            // Whatever happens, nobody waits for it in vain.
            let made = Made { shared: self, key };
            let decoded = self.decode(&mut reader, &lane);
            made.put(decoded);
        }
    }

    /// Waits for a lane to make; none when all is over.
    fn next(&self) -> Option<(Key, Lane)> {
        let mut state = self.state.lock();
        loop {
            if state.is_over {
                return None;
            }
            if let Some((key, lane)) = self.pick(&mut state) {
                state.slots.insert(key, Slot::Coming);
                // Somebody may wait for it to begin.
                self.state.notify();
                return Some((key, lane));
            }
            state = self.state.wait(state);
        }
    }

    /// The next lane of the first plan that has one and room for it.
    fn pick(&self, state: &mut State) -> Option<(Key, Lane)> {
        let State { plans, slots, missed, .. } = state;
        for plan in plans.iter_mut() {
            let is_of_plan = |(_, epoch, _): &&Key| epoch.is_some() == plan.is_training;
            if slots.keys().filter(is_of_plan).count() >= self.most {
                continue;
            }
            plan.look_ahead(self.most);
            while let Some(lane) = plan.soon.pop_front() {
                if !missed.remove(&lane.key()) && !slots.contains_key(&lane.key()) {
                    return Some((lane.key(), lane));
                }
                plan.look_ahead(self.most);
            }
        }
        None
    }

    fn decode(&self, reader: &mut SampleReader, lane: &Lane) -> Decoded {
        let size = self.dataset.shape().len();
        let mut decoded = Decoded { pixels: Vec::with_capacity(lane.samples.len() * size), labels: Vec::new() };
        for (index, sample) in lane.samples.iter().enumerate() {
            let label = reader.append(&self.dataset, lane.split, *sample, lane.epoch, &mut decoded.pixels);
            // Who reads it himself stops there; others of the lane would fare no better.
            let is_lost = label.as_ref().is_err_and(|error| !error.is_undecodable());
            if label.is_err() {
                decoded.pixels.truncate(index * size);
                decoded.pixels.resize((index + 1) * size, 0);
            }
            decoded.labels.push(label.ok());
            if is_lost {
                break;
            }
        }
        decoded
    }
}

/// A lane that is being made. Dropped before it is, it is as if it had not been announced.
struct Made<'a> {
    shared: &'a Shared,
    key: Key,
}

impl Made<'_> {
    fn put(self, decoded: Decoded) {
        let takes = if self.key.1.is_some() { self.shared.takes } else { 1 };
        if let Some(slot @ Slot::Coming) = self.shared.state.lock().slots.get_mut(&self.key) {
            *slot = Slot::Here(Arc::new(decoded), takes);
        }
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        self.shared.state.change(|state| {
            if let Some(Slot::Coming) = state.slots.get(&self.key) {
                state.slots.remove(&self.key);
            }
        });
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
