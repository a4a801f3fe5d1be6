//! What is trained, without a tensor: a state is its step, and whether anything went wrong on the way there.

use std::sync::Arc;

use lockstep_proto::ledger::{Ledger, LedgerRow};
use lockstep_proto::wire;

use crate::random::hash;

/// Samples of a batch.
pub const BATCH: u64 = 64;
/// Lanes of a batch.
pub const LANES: u32 = 4;

/// A job as the model needs it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Steps of the whole job; a multiple of an epoch's.
    pub steps: u64,
    /// Steps of an epoch.
    pub epoch: u64,
    /// Workers with lanes.
    pub workers: u32,
    /// Steps between reports.
    pub report_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between comparisons of states.
    pub digest_every: u64,
    /// Steps between lanes that are computed twice.
    pub replay_every: u64,
    /// As handed in.
    pub toml: String,
    /// Sums of hashed samples of all steps before each.
    hashes: Arc<[u64]>,
}

impl Job {
    /// A job whose settings of the cluster are `toml`.
    pub fn new(steps: u64, epoch: u64, workers: u32, every: [u64; 4]) -> Self {
        let [report_every, checkpoint_every, digest_every, replay_every] = every;
        let sums = (0..steps).scan(0u64, |sum, step| {
            *sum = sum.wrapping_add(hash(step ^ 0x5A));
            Some(*sum)
        });
        let hashes: Arc<[u64]> = std::iter::once(0).chain(sums).collect();
        // Absent keys have their defaults; losses are not what is to end a history.
        let toml = format!(
            "[batch]\nsize = {BATCH}\nmicro_batch = {}\n[metrics]\nevery = {report_every}\n[cluster]\nworkers = \
             {workers}\nmax_restarts = 100000\ndigest_every = {digest_every}\nreplay_every = {replay_every}\n",
            BATCH / u64::from(LANES)
        );
        Self { steps, epoch, workers, report_every, checkpoint_every, digest_every, replay_every, toml, hashes }
    }

    /// The ledger's row of steps `first..first + count`, all of one epoch.
    pub fn row(&self, first: u64, count: u64, generation: u64) -> LedgerRow {
        let from = first % self.epoch * BATCH;
        let samples = count * BATCH;
        let sum = |step: u64| self.hashes[step as usize];
        LedgerRow {
            epoch: first / self.epoch,
            from,
            to: from + samples,
            first_step: first,
            steps: count,
            generation,
            samples,
            hashes: sum(first + count).wrapping_sub(sum(first)),
            skipped: Vec::new(),
        }
    }

    /// Whether a row says what the schedule says.
    pub fn is_right(&self, row: &LedgerRow) -> bool {
        let last = row.last_step();
        row.steps > 0
            && last <= self.steps
            && (last - 1) / self.epoch == row.epoch
            && *row == self.row(row.first_step, row.steps, row.generation)
    }

    /// The ledger of a run to which nothing happened.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for epoch in 0..self.steps / self.epoch {
            // Rows follow each other.
            let _ = ledger.add(self.row(epoch * self.epoch, self.epoch, 0));
        }
        ledger
    }

    /// Whether a report is made behind this step.
    pub fn reports(&self, step: u64) -> bool {
        step.is_multiple_of(self.report_every) || step == self.steps
    }
}

/// A committed state.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Steps committed.
    pub step: u64,
    /// 0, or what went wrong on the way here: bits that are not those of the step.
    pub taint: u64,
    /// Its ledger.
    pub ledger: Ledger,
}

impl State {
    /// Its digest.
    pub fn digest(&self) -> String {
        digest(self.step, self.taint)
    }

    /// It, by step and digest.
    pub fn held(&self) -> wire::Held {
        wire::Held { step: self.step, digest: self.digest() }
    }
}

/// The digest of a state.
pub fn digest(step: u64, taint: u64) -> String {
    if taint == 0 { format!("s{step}") } else { format!("s{step}-{taint:x}") }
}

/// What went wrong with a state of this digest.
pub fn taint_of(digest: &str) -> u64 {
    digest.split_once('-').map_or(0, |(_, taint)| u64::from_str_radix(taint, 16).unwrap_or(u64::MAX))
}

/// The hash of the weights of a state.
pub fn weights(state: &State) -> String {
    format!("w{}", state.digest())
}
