//! Many histories, on all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::plan::KINDS;
use crate::world::Counts;
use crate::{End, History, Options, run};

/// What many histories had.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many.
    pub histories: u64,
    /// Of these, how the job ended: completed, cancelled or by a signal, forgotten.
    pub ends: [u64; 3],
    /// In all of them.
    pub counts: Counts,
    /// Seeds that were found wrong, and how.
    pub violations: Vec<(u64, String)>,
}

impl Summary {
    fn add(&mut self, history: History) {
        self.histories += 1;
        let end = match history.end {
            End::Job(name) if name.as_str() == "completed" => Some(0),
            End::Job(_) => Some(1),
            End::Forgotten => Some(2),
            End::Violated | End::Silence | End::Patience => None,
        };
        if let Some(end) = end {
            self.ends[end] += 1;
        }
        self.counts.add(&history.counts);
        if let Some(violation) = history.violation {
            self.violations.push((history.seed, violation));
        }
    }

    fn join(&mut self, other: Self) {
        self.histories += other.histories;
        self.ends.iter_mut().zip(other.ends).for_each(|(sum, count)| *sum += count);
        self.counts.add(&other.counts);
        self.violations.extend(other.violations);
        self.violations.sort();
    }

    /// A table, for people.
    pub fn table(&self) -> String {
        let counts = &self.counts;
        let [completed, ended, forgotten] = self.ends;
        let rows = [
            ("histories", self.histories),
            ("  completed", completed),
            ("  ended by a user or signal", ended),
            ("  forgotten with all workers", forgotten),
            ("things that happened", counts.actions),
            ("decisions", counts.decisions),
            ("generations", counts.generations),
            ("steps committed by workers", counts.commits),
            ("  by members of a forgotten generation", counts.commits_of_forgotten),
            ("worker processes", counts.processes),
            ("simulated hours", counts.time / 3_600_000),
            ("faults", counts.faults.iter().sum()),
        ];
        let faults = KINDS.iter().zip(counts.faults).map(|(kind, count)| (format!("  {kind}"), count));
        let rows = rows.into_iter().map(|(what, count)| (what.to_owned(), count)).chain(faults);
        rows.map(|(what, count)| format!("{what:<42} {count:>14}\n")).collect()
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.decisions += other.decisions;
        self.actions += other.actions;
        self.generations += other.generations;
        self.commits += other.commits;
        self.commits_of_forgotten += other.commits_of_forgotten;
        self.processes += other.processes;
        self.time += other.time;
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, count)| *sum += count);
    }
}

/// The histories of `count` seeds from `first` on, on this many threads; ends early when so many are wrong.
pub fn histories(first: u64, count: u64, threads: usize, enough: u64, options: &Options) -> Summary {
    let (next, wrong) = (AtomicU64::new(first), AtomicU64::new(0));
    let work = || {
        let mut summary = Summary::default();
        while wrong.load(Ordering::Relaxed) < enough {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            let found = summary.violations.len();
            match guarded(seed, options) {
                Ok(history) => summary.add(history),
                Err(panic) => summary.violations.push((seed, panic)),
            }
            wrong.fetch_add((summary.violations.len() - found) as u64, Ordering::Relaxed);
        }
        summary
    };
    let mut all = Summary::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            match thread.join() {
                Ok(summary) => all.join(summary),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all
}

/// A history; a panic in it is a violation.
fn guarded(seed: u64, options: &Options) -> Result<History, String> {
    catch_unwind(AssertUnwindSafe(|| run(seed, options))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("panic: {}", text.unwrap_or_default())
    })
}
