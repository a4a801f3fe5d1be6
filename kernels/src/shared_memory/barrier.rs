//! A barrier between processes: everybody raises its own counter and looks at everybody else's.
//!
//! One line of cache a process, written by that process alone: with two processes a barrier is one transfer
//! of a line each way, where a shared count needs two in a row. Long waits end in a futex, so that workers
//! that wait for a slow one burn no core.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::thread::{Timespec, futex};

use super::Seat;

/// The wait was ended by the abort flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wait was aborted")]
pub struct Aborted;

/// Counters apart by two lines, as prefetchers fetch lines in pairs.
const STRIDE: usize = 32;

/// Looks between two times that the core is given away: about 1 µs alone, next to nothing when cores are
/// shared. Not more, because even on an empty machine the system may have put two workers on one core.
const LOOKS: u32 = 50;
const LOOKS_CROWDED: u32 = 4;

/// Times the core is given away before the wait sleeps: some 2 ms when nobody takes it, longer than the workers of a
/// small network are apart. Sleeping earlier costs more than the wake-up: the system likes to put a woken process on
/// the core of the one that woke it, and then two workers take turns on one core while the other idles.
const YIELDS: u32 = 2000;

/// A sleeper looks at the abort flag this often.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

/// Counters that `participants` need: one each, and the number of sleepers.
pub(super) fn counters(participants: usize) -> usize {
    (participants + 1) * STRIDE
}

/// Raises this process' counter to `epoch` and waits until all others have raised theirs.
pub(super) fn meet(counters: &[AtomicU32], seat: Seat, epoch: u32, abort: &AtomicBool) -> Result<(), Aborted> {
    let sleepers = &counters[0];
    let participants = counters.len() / STRIDE - 1;
    let own = &counters[(seat.index + 1) * STRIDE];
    // Sequentially consistent with a sleeper's announcement: either it sees the new epoch or we see the sleeper.
    own.store(epoch, Ordering::SeqCst);
    if sleepers.load(Ordering::SeqCst) > 0 {
        let _ = futex::wake(own, futex::Flags::empty(), i32::MAX as u32);
    }
    for other in (0..participants).filter(|&other| other != seat.index) {
        let counter = &counters[(other + 1) * STRIDE];
        if !arrived(counter.load(Ordering::Acquire), epoch) {
            wait(counter, sleepers, (epoch, seat.crowded), abort)?;
        }
    }
    Ok(())
}

/// A fast process may already be at the next barrier, so "at least", modulo the counter's wrap.
fn arrived(count: u32, epoch: u32) -> bool {
    count.wrapping_sub(epoch) as i32 >= 0
}

fn wait(
    counter: &AtomicU32,
    sleepers: &AtomicU32,
    (epoch, crowded): (u32, bool),
    abort: &AtomicBool,
) -> Result<(), Aborted> {
    let looks = if crowded { LOOKS_CROWDED } else { LOOKS };
    for _ in 0..YIELDS {
        for _ in 0..looks {
            if arrived(counter.load(Ordering::Acquire), epoch) {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        if abort.load(Ordering::Relaxed) {
            return Err(Aborted);
        }
        thread::yield_now();
    }
    sleep(counter, sleepers, epoch, abort)
}

#[cold]
fn sleep(counter: &AtomicU32, sleepers: &AtomicU32, epoch: u32, abort: &AtomicBool) -> Result<(), Aborted> {
    sleepers.fetch_add(1, Ordering::SeqCst);
    let result = loop {
        let seen = counter.load(Ordering::SeqCst);
        if arrived(seen, epoch) {
            break Ok(());
        }
        if abort.load(Ordering::Relaxed) {
            break Err(Aborted);
        }
        // Woken, timed out, changed meanwhile or interrupted: look again in any case.
        let _ = futex::wait(counter, futex::Flags::empty(), seen, Some(&NAP));
    };
    sleepers.fetch_sub(1, Ordering::SeqCst);
    result
}
